package stream

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/h2"
)

// witness checks what a handler may rely on: Closed once, nothing after it, and
// messages as they were sent.
type witness struct {
	t      *testing.T
	c      *chaos
	next   byte
	closed int
}

func (w *witness) alive(what string) {
	if w.closed > 0 {
		w.t.Errorf("%s after Closed", what)
	}
}

func (w *witness) Message(st *Stream, m []byte) error {
	w.alive("Message")
	if len(m) > 0 && w.c.tame {
		if m[0] != w.next {
			w.t.Errorf("message %d comes as number %d", m[0], w.next)
		}
		w.next++
	}
	return w.c.user(st, m)
}

func (w *witness) HalfClosed(st *Stream) error { w.alive("HalfClosed"); return w.c.user(st, []byte{9}) }
func (w *witness) Drained(st *Stream)          { w.alive("Drained"); w.c.user(st, []byte{1}) }
func (w *witness) Closed(st *Stream, err error) {
	w.alive("Closed")
	w.closed++
	w.c.open--
}

// chaos plays a tape against a session.
type chaos struct {
	t    *testing.T
	p    *peer
	tape []byte
	open int  // handlers that are owed Closed
	tame bool // no bytes that are not frames: messages have an order
	sent map[uint32]byte
	all  []*Stream
}

func (c *chaos) byte() (b byte) {
	if len(c.tape) > 0 {
		b, c.tape = c.tape[0], c.tape[1:]
	}
	return b
}

// user does something with a stream, inside a callback or not.
func (c *chaos) user(st *Stream, m []byte) error {
	switch c.byte() % 16 {
	case 0, 1, 2:
		st.Emit(m)
	case 3, 4:
		st.Send(m)
	case 5:
		x := NewMessage(make([]byte, int(c.byte())*40))
		st.SendMessage(x)
		x.Release()
	case 6:
		st.Finish(nil)
	case 7:
		st.Cancel()
	case 8:
		return &Status{Code: Aborted}
	case 9:
		st.Pause()
	case 10:
		st.Resume()
	case 11:
		st.SetHeader(Metadata{{"a", "b"}})
		st.SetTrailer(Metadata{{"c", "d"}})
	case 12:
		st.Post(func(st *Stream) { c.user(st, []byte{1}) })
	case 13:
		if c.byte() < 40 {
			panic("chaos")
		}
	case 14:
		c.all[int(c.byte())%len(c.all)].Emit(m) // another one
	}
	return nil
}

func (c *chaos) methods(s *Server) {
	s.Handle("/c/Open", Method{Open: func(st *Stream) (Handler, error) {
		c.open++
		c.all = append(c.all, st)
		return &witness{t: c.t, c: c}, nil
	}})
	s.Handle("/c/Unary", Method{Unary: func(st *Stream, m []byte) ([]byte, error) {
		if len(c.all) > 0 {
			return m, c.user(c.all[0], m)
		}
		return m, nil
	}})
}

// strange is a PanicReport: a session takes a panic in a callback for the user's,
// also where it is its own.
func strange(t *testing.T) func(string, any, []byte) {
	return func(path string, v any, stack []byte) {
		if v != "chaos" {
			t.Errorf("%s: panic %v\n%s", path, v, stack)
		}
	}
}

// uncaught recovers from what a chaotic user throws where nobody else does, and
// from nothing else.
func uncaught() {
	if v := recover(); v != nil && v != "chaos" {
		panic(v)
	}
}

// step is one thing that happens.
func (c *chaos) step() {
	p := c.p
	id := uint32(c.byte()) // one of those that were opened last, seldom another
	if opened := p.next / 2; opened > 0 && (c.tame || id < 250) {
		id = opened - 1 - min(id%8, opened-1)
	}
	id = 2*id + 1
	switch c.byte() % 16 {
	case 0, 1:
		path := []string{"/c/Open", "/c/Open", "/c/Unary", "/c/None"}[c.byte()%4]
		more := []string{}
		if b := c.byte(); b%4 == 0 {
			more = append(more, "grpc-timeout", "5m")
		}
		c.sent[p.open(path, c.byte()%8 == 0, more...)] = 0
	case 2, 3, 4, 5:
		n := int(c.byte()) % 50
		m := make([]byte, 1+n*n)
		m[0] = c.sent[id]
		c.sent[id]++
		frames := h2.AppendData(nil, id, message(string(m)), c.byte()%8 == 0)
		cut := int(c.byte()) * len(frames) / 256
		p.feed(frames[:cut])
		p.feed(frames[cut:])
	case 6:
		p.feed(h2.AppendRSTStream(nil, id, h2.Code(c.byte()%16)))
	case 7:
		p.feed(h2.AppendWindowUpdate(nil, id, uint32(c.byte())*50+1))
	case 8:
		p.feed(h2.AppendWindowUpdate(nil, 0, uint32(c.byte())*500+1))
	case 9:
		p.feed(h2.AppendSettings(nil, h2.Setting{ID: h2.SettingInitialWindowSize, Value: uint32(c.byte()) * 100}))
	case 10:
		p.l.room = int(c.byte())*20 - 1
		if p.l.room < 0 || c.byte()%2 == 0 {
			p.s.Drained()
		}
	case 11:
		p.l.now = p.l.now.Add(time.Duration(c.byte()) * time.Millisecond)
		p.l.heap.Advance(p.l.now)
	case 12:
		if len(c.all) > 0 {
			st := c.all[int(c.byte())%len(c.all)]
			defer uncaught() // outside of callbacks
			c.user(st, []byte{2})
		}
	case 13:
		p.poke()
	case 14:
		if c.byte()%8 == 0 {
			p.s.Drain()
		}
	case 15:
		if c.tame {
			return
		}
		if c.byte() < 240 {
			return
		}
		n := int(c.byte()) % 40
		b := make([]byte, n)
		for i := range b {
			b[i] = c.byte()
		}
		p.feed(b)
	}
}

func (c *chaos) play() {
	c.p = newPeer(c.t, Config{SendLimit: 500, MaxRecv: 2000, StreamWindow: 3000, MaxStreams: 12, SessionBudget: 5000, PanicReport: strange(c.t)}, c.methods)
	c.p.greet()
	c.p.open("/c/Open", false)
	for len(c.tape) > 0 && !c.p.l.closed {
		c.step()
	}
	c.p.poke()
	c.p.s.Lost(nil)
	c.p.poke()
	if c.open != 0 {
		c.t.Errorf("%d handlers were not closed", c.open)
	}
	for _, st := range c.all {
		if st.flags&ended == 0 || st.head != nil || st.in != nil || st.queued.Load() != 0 {
			c.t.Errorf("stream %d: flags %b, %d bytes queued", st.h.ID(), st.flags, st.queued.Load())
		}
	}
}

func newChaos(t *testing.T, tape []byte, tame bool) *chaos {
	return &chaos{t: t, tape: tape, tame: tame, sent: make(map[uint32]byte)}
}

// Whatever a peer and a user do, handlers are closed once and nothing is held.
func FuzzSession(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(randomTape(seed, 600), seed%2 == 0)
	}
	f.Fuzz(func(t *testing.T, tape []byte, tame bool) {
		if len(tape) > 4000 {
			t.Skip("long enough")
		}
		newChaos(t, tape, tame).play()
	})
}

func TestSessionChaos(t *testing.T) {
	var total Stats
	for seed := range uint64(400) {
		c := newChaos(t, randomTape(seed, 3000), seed%4 != 0)
		c.play()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		s := c.p.srv.Stats()
		total.Opened += s.Opened
		total.Received += s.Received
		total.Sent += s.Sent
		total.Deadlines += s.Deadlines
		total.Full += s.Full
		total.Withheld += s.Withheld
		total.Panics += s.Panics
	}
	// A tape that does nothing would find nothing.
	if total.Received < 4000 || total.Sent < 4000 || total.Deadlines < 100 || total.Full < 100 || total.Withheld < 10 || total.Panics < 5 {
		t.Errorf("too little happened: %+v", total)
	}
}

func randomTape(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 5))
	b := make([]byte, n)
	for i := 0; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b
}
