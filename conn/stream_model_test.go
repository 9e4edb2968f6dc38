package conn

import (
	"fmt"
	"testing"

	"github.com/weir-go/weir/internal/sock"
)

// stream plays an interleaving of what a peer, a handler and other goroutines
// may do to one connection, read from a tape of bytes, and holds it to what a
// stream is: bytes come out in the order in which they went in, none twice,
// none lost unless the connection was broken off; Closed is called once and
// last; what waits has a limit; and nothing is left at the end.
//
// A tape that has run out reads as zeros, which stand for the plainest choice
// everywhere: consume everything, do nothing else.
type stream struct {
	t    testing.TB
	r    *rig
	c    *Conn
	b    *Blocking // set while the connection is on that face
	peer int
	tape []byte

	in, out     way
	shared      int  // the longest WriteShared: may stand above HighWater
	peerShut    bool // the peer has ended its stream
	peerClosed  bool // the peer has gone
	finished    bool // our stream was ended: CloseWrite
	closed      bool // Close was asked for
	moving      bool // on its way back to the callback face
	broken      bool // broken off, from whichever side: bytes may be lost
	eofs, overs int  // calls of EOF and Closed
	failed      error
}

// way is one direction: the byte at offset i is known, so that both ends can
// be compared without keeping what went through.
type way struct {
	seed    byte
	put     int // into it
	got     int // out of it
	atEnd   bool
	scratch []byte
}

func (w *way) at(i int) byte { return byte(i) ^ byte(i>>8)*31 ^ w.seed }

// next returns the n bytes that go in next.
func (w *way) next(n int) []byte {
	w.scratch = w.scratch[:0]
	for i := range n {
		w.scratch = append(w.scratch, w.at(w.put+i))
	}
	return w.scratch
}

// check looks at bytes that stand at the way's end.
func (w *way) check(p []byte) error {
	if w.got+len(p) > w.put {
		return fmt.Errorf("%d bytes at offset %d, but only %d were put in", len(p), w.got, w.put)
	}
	for i, b := range p {
		if b != w.at(w.got+i) {
			return fmt.Errorf("byte %d is %#x, want %#x", w.got+i, b, w.at(w.got+i))
		}
	}
	return nil
}

func (s *stream) byte() int {
	if len(s.tape) == 0 {
		return 0
	}
	b := s.tape[0]
	s.tape = s.tape[1:]
	return int(b)
}

// fail notes what is wrong; the first counts. It may be called in callbacks,
// where t.Fatal may not.
func (s *stream) fail(format string, args ...any) {
	if s.failed == nil {
		s.failed = fmt.Errorf(format, args...)
	}
}

// play plays a whole tape.
func playStream(t testing.TB, tape []byte) {
	s := &stream{t: t, tape: tape, in: way{seed: 0x5a}, out: way{seed: 0xa5}}
	head := s.byte()
	s.r = newRig(t, Config{
		ReadSize: 16 << (head & 7), ReadBudget: 64 << (head & 7), ByteBudget: 1 << (12 + s.byte()&7),
	})
	o := Options{HighWater: 8 + 32*s.byte(), InLimit: 8 + 32*s.byte(), WriteBuffer: 1}
	s.c, s.peer = s.r.pair(o, func(c *Conn) Handler { s.c = c; return s.handler(head) })
	for len(s.tape) > 0 && s.failed == nil {
		s.step()
		s.bounds()
	}
	if s.failed == nil {
		s.end()
	}
	if s.failed != nil {
		t.Fatalf("%v\nin %d of %d, out %d of %d, faces %v, Closed %d", s.failed, s.in.got, s.in.put, s.out.got, s.out.put, s.b != nil, s.overs)
	}
}

// bounds is what holds at any time.
func (s *stream) bounds() {
	if n, most := s.c.Pending(), s.c.set.HighWater+s.shared; n > most {
		s.fail("%d bytes pending, more than %d", n, most)
	}
	if n := s.r.rt.budget.used.Load(); n < 0 {
		s.fail("the budget is %d below nothing", -n)
	}
	if held := s.held(); s.b == nil && s.r.rt.budget.used.Load() < int64(held) {
		s.fail("budget %d, but %d bytes of storage are held", s.r.rt.budget.used.Load(), held)
	}
}

func (s *stream) held() (n int) {
	if s.c.out != nil {
		n += s.c.out.Held()
	}
	if s.c.left != nil {
		n += s.c.left.Held()
	}
	return n
}

// step does one thing from outside of callbacks.
func (s *stream) step() {
	switch op := s.byte() % 24; op {
	case 0, 1, 2, 3:
		s.r.turn()
	case 4, 5, 6:
		s.peerWrite(16 * s.byte())
	case 7, 8, 9:
		s.peerRead(64 * s.byte())
	case 10:
		sock.ShutdownWrite(s.peer)
		s.peerShut = true
	case 11:
		if s.byte() > 240 {
			s.r.closePeer(s.peer)
			s.peerShut, s.peerClosed, s.broken = true, true, true
		}
	case 12:
		s.c.Resume()
	case 13:
		s.post()
	case 14, 15:
		s.toBlocking()
	case 16:
		s.toCallback()
	case 17, 18, 19:
		if s.b != nil {
			s.blockingRead(1 + 16*s.byte())
		}
	case 20:
		if s.b != nil {
			s.blockingWrite(16 * s.byte())
		}
	default:
		s.act(s.c)
	}
}

// onTape is what a handler of the tape throws.
const onTape = "on the tape"

// react does what act does, in a callback, where one may panic besides.
func (s *stream) react(c *Conn) {
	if s.byte() == 255 {
		s.broken = true
		panic(onTape)
	}
	s.act(c)
}

// act does one of the things that may be done anywhere.
func (s *stream) act(c *Conn) {
	switch s.byte() % 16 {
	case 0, 1:
	case 2, 3, 4:
		s.write(c.Write, s.byte())
	case 5, 6:
		s.write(c.Write, 64*s.byte())
	case 7, 8:
		s.write(c.Append, s.byte())
	case 9:
		s.write(func(p []byte) (int, error) { k := len(p) / 3; return c.Writev(p[:k], nil, p[k:]) }, 16*s.byte())
	case 10:
		s.writeShared(c.WriteShared, 16*s.byte())
	case 11:
		s.writeShared(c.AppendShared, s.byte())
	case 12:
		c.Pause()
	case 13:
		if s.byte() > 200 {
			s.finished = c.CloseWrite() == nil || s.finished
		}
	case 14:
		if s.byte() > 220 && s.b == nil {
			s.closed = c.Close() == nil || s.closed
		}
	case 15:
		if s.byte() > 240 {
			s.broken = true
			c.Abort()
		}
	}
}

// alive is checked in every callback.
func (s *stream) alive(what string) {
	if s.overs > 0 {
		s.fail("%s was called after Closed", what)
	}
}
