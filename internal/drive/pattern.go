package drive

import (
	"bytes"
	"fmt"
	"math/rand/v2"
)

// period is after how many bytes a stream repeats. It is a prime, so no buffer
// of a usual size, lost or sent twice, leaves the stream looking the same, and
// short enough to stay in the processor's cache.
const period = 8191

// pattern is the bytes that are sent: random ones, period long, and then the
// same again for as long as most batches of messages are, so that a batch is one
// slice wherever in the stream it begins.
//
//	|<---- period ---->|<- the same again ->|
//	      |<-- batch -->|
type pattern []byte

// newPattern makes a pattern for batches of up to batch bytes. Longer ones are
// cut into several slices.
func newPattern(seed uint64, batch int) pattern {
	const most = 64 << 10
	p := make(pattern, period, period+most)
	r := rand.New(rand.NewPCG(seed, period))
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	for len(p) < period+min(batch, most) {
		p = append(p, p[:min(period, period+min(batch, most)-len(p))]...)
	}
	return p
}

// cursor is a place in a connection's endless stream.
type cursor int

// start is where the stream of connection i begins. Neighbours are far apart,
// and no two of period connections begin at the same place.
func start(i int) cursor { return cursor(i * 3967 % period) }

// next returns the stream's bytes at c: n of them, or as many as are in one
// piece.
func (p pattern) next(c cursor, n int) []byte {
	return p[c:min(int(c)+n, len(p))]
}

// advance moves c on by n bytes, no more than next has returned.
func (c *cursor) advance(n int) {
	at := int(*c) + n
	if at >= period {
		at %= period
	}
	*c = cursor(at)
}

// check compares what came back with the stream at c, and moves c on.
func (p pattern) check(c *cursor, got []byte) error {
	for len(got) > 0 {
		want := p.next(*c, len(got))
		if !bytes.Equal(got[:len(want)], want) {
			return difference(got, want)
		}
		got = got[len(want):]
		c.advance(len(want))
	}
	return nil
}

// difference says where got isn't what it should be.
func difference(got, want []byte) error {
	i := 0
	for got[i] == want[i] {
		i++
	}
	return fmt.Errorf("%w: byte %d of %d that were read together is %#02x, not %#02x",
		ErrMismatch, i, len(got), got[i], want[i])
}
