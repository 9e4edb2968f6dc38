package conn

import (
	"math/rand/v2"
	"testing"

	"github.com/weir-go/weir/internal/sock"
)

// streamHandler is the handler of a stream's connection.
type streamHandler struct{ *stream }

type (
	streamEOF     struct{ streamHandler }
	streamDrained struct{ streamHandler }
	streamBoth    struct {
		streamEOF
		drainer
	}
	drainer struct{ s *stream }
)

func (s *stream) handler(kind int) Handler {
	h := streamHandler{s}
	switch kind >> 4 & 3 {
	case 1:
		return streamEOF{h}
	case 2:
		return streamDrained{h}
	case 3:
		return streamBoth{streamEOF{h}, drainer{s}}
	}
	return h
}

func (h streamHandler) Data(c *Conn) error {
	s := h.stream
	s.alive("Data")
	if s.b != nil {
		s.fail("Data on the blocking face")
	}
	if s.closed {
		s.fail("Data after Close")
	}
	s.consume(c)
	s.react(c)
	s.react(c)
	return nil
}

// consume looks at what there is and takes some of it, or all.
func (s *stream) consume(c *Conn) {
	p := c.Peek()
	if err := s.in.check(p); err != nil {
		s.fail("shown: %v", err)
	}
	switch n := s.byte(); {
	case n < 128:
		c.Discard(len(p))
		s.in.got += len(p)
	case n < 140: // nothing
	case n < 200:
		n = min(n-139, len(p))
		c.Discard(n)
		s.in.got += n
	default:
		q := make([]byte, n-199)
		k, _ := c.Read(q)
		if err := s.in.check(q[:k]); err != nil {
			s.fail("read: %v", err)
		}
		s.in.got += k
	}
}

func (h streamEOF) EOF(c *Conn) error {
	s := h.stream
	s.alive("EOF")
	if s.eofs++; s.eofs > 1 {
		s.fail("EOF was called %d times", s.eofs)
	}
	if !s.peerShut {
		s.fail("EOF, but the peer has not ended its stream")
	}
	if n := len(c.Peek()); s.in.got+n < s.in.put && !s.broken {
		s.fail("EOF after %d of %d bytes", s.in.got+n, s.in.put)
	}
	s.consume(c)
	s.react(c)
	return nil
}

func (h streamDrained) Drained(c *Conn) { drainer{h.stream}.Drained(c) }

func (d drainer) Drained(c *Conn) {
	d.s.alive("Drained")
	if n := c.Pending(); n > c.set.LowWater {
		d.s.fail("Drained with %d bytes pending, above %d", n, c.set.LowWater)
	}
	d.s.react(c)
}

func (h streamHandler) Closed(c *Conn, err error) {
	s := h.stream
	if s.overs++; s.overs > 1 {
		s.fail("Closed was called %d times", s.overs)
	}
	if err == ErrBudget {
		s.broken = true // input that could be kept nowhere
	}
	if p, ok := err.(*PanicError); ok && p.Value != onTape {
		s.fail("panic %v\n%s", p.Value, p.Stack)
	}
	if c.Pending() != 0 || c.Buffered() != 0 {
		s.fail("Closed with %d bytes pending, %d buffered", c.Pending(), c.Buffered())
	}
}

// end brings the stream to its end: both sides take all there is, and then
// everything that was put in must have come out.
func (s *stream) end() {
	sock.ShutdownWrite(s.peer)
	s.peerShut = true
	if s.b != nil {
		s.endBlocking()
		return
	}
	for range 100 {
		s.c.Resume()
		s.r.settle()
		if s.overs > 0 {
			break
		}
		s.c.Post(func(c *Conn) { // a handler that left bytes behind, or waits for EOF to do something
			s.consume(c)
			if c.flags&ended != 0 {
				s.closed = c.Close() == nil || s.closed
			}
		})
		s.drainPeer()
		s.r.settle()
	}
	s.drainPeer()
	switch {
	case s.overs == 0:
		s.fail("the connection does not end")
	case s.broken:
	case s.out.got != s.out.put:
		s.fail("%d bytes were accepted, the peer read %d", s.out.put, s.out.got)
	case !s.peerClosed && !s.out.atEnd:
		s.fail("the peer sees no end of stream")
	case !s.closed && s.in.got != s.in.put && s.eofs > 0:
		s.fail("the peer sent %d bytes, %d were shown", s.in.put, s.in.got)
	}
}

func (s *stream) drainPeer() {
	for before := -1; before != s.out.got && !s.out.atEnd && s.failed == nil; {
		before = s.out.got
		s.peerRead(1 << 16)
	}
}

func (s *stream) endBlocking() {
	for !s.in.atEnd && s.failed == nil {
		s.blockingRead(4096)
	}
	if s.failed != nil {
		return
	}
	s.finished = true
	s.await("closing the write half", func() { s.b.CloseWrite() })
	s.drainPeer()
	if !s.broken && s.out.got != s.out.put {
		s.fail("%d bytes were accepted, the peer read %d", s.out.put, s.out.got)
	}
	s.b.Close()
	s.r.settle()
	if s.overs > 0 {
		s.fail("Closed was called on the blocking face")
	}
}

// TestStreamTapes plays random tapes; a failing one is replayed by its seed.
func TestStreamTapes(t *testing.T) {
	count := 600
	if testing.Short() {
		count = 50
	}
	for i := range count {
		if !t.Run("", func(t *testing.T) { playStream(t, randomTape(uint64(i))) }) {
			t.Fatalf("seed %d", i)
		}
	}
}

func randomTape(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 20261122))
	tape := make([]byte, 16+r.IntN(400))
	for i := range tape {
		tape[i] = byte(r.Uint32())
	}
	return tape
}

func FuzzStream(f *testing.F) {
	f.Add([]byte{})
	for seed := range uint64(16) {
		f.Add(randomTape(seed))
	}
	f.Fuzz(func(t *testing.T, tape []byte) {
		if len(tape) > 4096 {
			t.Skip("long enough")
		}
		playStream(t, tape)
	})
}
