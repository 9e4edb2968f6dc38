package buf

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// ref counts its releases.
type ref struct{ released int }

func (r *ref) Release() { r.released++ }

// chainModel is a Chain beside a bytes.Buffer.
type chainModel struct {
	t    testing.TB
	c    Chain
	m    bytes.Buffer
	next byte
	refs []*ref
	lens []int // of the shared bytes
	ends []int // how far the queue's end was, ever, behind each of them
	put  int   // bytes ever queued
	sent int   // bytes ever advanced
}

// mostQueued bounds a model's queue, which check looks at as a whole.
const mostQueued = 1 << 18

func (x *chainModel) fresh(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = x.next
		x.next += 5
	}
	return p
}

func (x *chainModel) do(op byte, n int) {
	if op%6 < 3 {
		n = min(n, mostQueued-x.m.Len())
	}
	switch op % 6 {
	case 0, 1:
		p := x.fresh(n)
		grow, held := x.c.Grow(n), x.c.Held()
		x.c.Append(p)
		if x.c.Held() != held+grow {
			x.t.Fatalf("Held grew by %d, Grow(%d) said %d", x.c.Held()-held, n, grow)
		}
		x.m.Write(p)
		clear(p) // it was copied
		x.put += n
	case 2:
		r, p := &ref{}, x.fresh(n)
		held := x.c.Held()
		x.c.AppendRef(p, r)
		if x.c.Held() != held {
			x.t.Fatal("shared bytes are counted as held")
		}
		x.m.Write(p)
		x.put += n
		x.refs, x.lens, x.ends = append(x.refs, r), append(x.lens, n), append(x.ends, x.put)
	case 3, 4:
		x.advance(min(n, x.m.Len()))
	case 5:
		if n%16 == 0 {
			x.release()
		}
	}
	x.check()
}

func (x *chainModel) advance(n int) {
	x.c.Advance(n)
	x.m.Next(n)
	x.sent += n
}

func (x *chainModel) release() {
	x.c.Release()
	x.sent += x.m.Len()
	x.m.Reset()
	for i, r := range x.refs {
		if r.released != 1 {
			x.t.Fatalf("shared bytes %d were released %d times", i, r.released)
		}
	}
	if x.c.Len() != 0 || x.c.Held() != 0 || x.c.Run(0) != nil {
		x.t.Fatalf("%d bytes, %d held after Release", x.c.Len(), x.c.Held())
	}
}

func (x *chainModel) check() {
	rest := x.m.Bytes()
	for i := 0; ; i++ {
		run := x.c.Run(i)
		if run == nil {
			break
		}
		if !bytes.HasPrefix(rest, run) {
			x.t.Fatalf("run %d of %d bytes is not what comes next, of %d", i, len(run), len(rest))
		}
		rest = rest[len(run):]
	}
	if x.c.Len() != x.m.Len() || len(rest) > 0 {
		x.t.Fatalf("Len %d, want %d; %d bytes are in no run", x.c.Len(), x.m.Len(), len(rest))
	}
	for i, r := range x.refs {
		gone := x.sent >= x.ends[i]
		// Empty ones may go with their neighbours.
		if want := map[bool]int{true: 1}[gone]; r.released != want && x.lens[i] > 0 {
			x.t.Fatalf("shared bytes %d were released %d times, want %d", i, r.released, want)
		}
		if r.released > 1 {
			x.t.Fatalf("shared bytes %d were released %d times", i, r.released)
		}
	}
	if x.m.Len() == 0 && x.c.Held() != 0 {
		x.t.Fatalf("%d bytes are held for none", x.c.Held())
	}
}

func TestChainModel(t *testing.T) {
	for seed := range uint64(16) {
		r := rand.New(rand.NewPCG(seed, 3))
		x := &chainModel{t: t}
		for range 300 {
			x.do(byte(r.Uint32()), r.IntN(1<<r.IntN(15)))
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		x.release()
	}
}

func FuzzChain(f *testing.F) {
	f.Add([]byte{0, 0, 10, 2, 0, 10, 1, 40, 0, 3, 0, 15, 5, 0, 16})
	f.Add(bytes.Repeat([]byte{0, 1, 255, 2, 0, 9, 3, 1, 0}, 30))
	f.Fuzz(func(t *testing.T, tape []byte) {
		if len(tape) > 900 {
			t.Skip("long enough")
		}
		x := &chainModel{t: t}
		for ; len(tape) >= 3; tape = tape[3:] {
			x.do(tape[0], int(tape[1])<<8|int(tape[2]))
		}
		x.release()
	})
}

// Small writes share a segment, so that they leave in one piece.
func TestChainGathers(t *testing.T) {
	var c Chain
	defer c.Release()
	for range 100 {
		c.Append(make([]byte, 40))
	}
	if len(c.Run(0)) != 4000 || c.Run(1) != nil || c.Held() != segmentMin {
		t.Errorf("the first run has %d bytes, %d are held", len(c.Run(0)), c.Held())
	}
}

// A queue that never runs empty does not grow at its front, nor do the storage
// and the list of one that does.
func TestChainStaysSmall(t *testing.T) {
	var c Chain
	defer c.Release()
	r := &ref{}
	for range 5000 {
		c.AppendRef(make([]byte, 10), r)
		c.Append(make([]byte, 10))
		if c.Len() > 200 {
			c.Advance(20)
		}
	}
	if n := cap(c.segs); n > 200 {
		t.Errorf("a list of %d segments for %d bytes", n, c.Len())
	}
	for range 2000 {
		c.AppendRef(make([]byte, 1), r)
	}
	c.Release()
	if n := cap(c.segs); n > segsKept {
		t.Errorf("an empty chain keeps a list of %d", n)
	}
}

// Nothing of a segment that has left is referred to.
func TestChainForgets(t *testing.T) {
	var c Chain
	defer c.Release()
	for range 10 {
		c.AppendRef(make([]byte, 10), &ref{})
	}
	c.Advance(95)
	for i, s := range c.segs[:cap(c.segs)][:c.head] {
		if s.b != nil || s.ref != nil {
			t.Errorf("segment %d is kept", i)
		}
	}
	c.Release()
	for i, s := range c.segs[:cap(c.segs)] {
		if s.b != nil || s.ref != nil || s.base != nil {
			t.Errorf("segment %d is kept after Release", i)
		}
	}
}

func TestChainAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random under the race detector")
	}
	var c Chain
	p, r := make([]byte, 3000), &ref{}
	n := testing.AllocsPerRun(200, func() {
		c.Append(p)
		c.Append(p)
		c.AppendRef(p, r)
		c.Advance(4000)
		c.Append(p)
		c.Advance(c.Len())
		c.Append(p)
		c.Release()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkChain(b *testing.B) {
	var c Chain
	p := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		for range 16 {
			c.Append(p)
		}
		c.Advance(c.Len())
	}
}

func BenchmarkFlat(b *testing.B) {
	var f Flat
	p := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		for range 16 {
			f.Append(p)
			f.Discard(90)
		}
		f.Release()
	}
}
