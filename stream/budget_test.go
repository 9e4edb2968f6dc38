package stream

import (
	"runtime"
	"testing"

	"github.com/weir-go/weir/internal/h2"
)

// A method that does not receive holds its peer up, and no other.
func TestRecvSlowly(t *testing.T) {
	const window = 8000
	proceed := make(chan struct{})
	p := newPeer(t, Config{StreamWindow: window, SessionBudget: 1 << 30}, goes("/g/Go", func(st *Stream) error {
		<-proceed
		for {
			if _, err := st.Recv(); err != nil {
				return nil
			}
		}
	}))
	p.greet()
	id, g := p.open("/g/Go", false), newGathered()
	sent := 0
	for g.from(p); sent+1005 <= window+g.credit[id]; g.from(p) {
		p.data(id, message(string(make([]byte, 1000))), false)
		sent += 1005
	}
	if sent > 2*window {
		t.Errorf("%d bytes were taken with a window of %d", sent, window)
	}
	if held := p.srv.Stats().Held; held < int64(sent) || held > 2*int64(sent) {
		t.Errorf("%d bytes held of %d sent", held, sent)
	}
	other := p.open("/g/Go", false)
	before := g.credit[id]
	close(proceed)
	p.await("credit", func() bool { return g.from(p).credit[id] > before })
	p.data(id, nil, true)
	p.data(other, nil, true)
	p.await("the end", func() bool { g.from(p); return g.ended[id] && g.ended[other] })
}

// Above the session's budget the connection's window stays shut until messages
// have been received.
func TestSessionBudget(t *testing.T) {
	proceed := make(chan struct{})
	cfg := Config{SessionBudget: 40_000, ConnWindow: h2.InitialWindow, StreamWindow: 60_000}
	p := newPeer(t, cfg, goes("/g/Go", func(st *Stream) error {
		<-proceed
		for {
			if _, err := st.Recv(); err != nil {
				return nil
			}
		}
	}))
	p.greet()
	g := newGathered()
	for range 4 {
		id := p.open("/g/Go", false)
		for range 4 {
			p.data(id, message(string(make([]byte, 4000))), false)
		}
	}
	g.from(p)
	if s := p.srv.Stats(); g.credit[0] >= 64_000 || s.Withheld == 0 || s.Held < 60_000 {
		t.Errorf("credit of %d bytes with %+v", g.credit[0], s)
	}
	close(proceed)
	p.await("credit", func() bool { return g.from(p).credit[0] >= 32_000 })
	p.await("everything received", func() bool { return p.srv.Stats().Held == 0 })
}

// So it does for a receiver that comes back and finds nothing: what it held was
// the last of it.
func TestSessionBudgetLastMessage(t *testing.T) {
	proceed, received := make(chan struct{}, 1), make(chan struct{})
	cfg := Config{SessionBudget: 40_000, ConnWindow: h2.InitialWindow, StreamWindow: 60_000}
	p := newPeer(t, cfg, goes("/g/Go", func(st *Stream) error {
		for {
			<-proceed
			if _, err := st.Recv(); err != nil {
				return nil
			}
			received <- struct{}{}
		}
	}))
	p.greet()
	g, id := newGathered(), p.open("/g/Go", false)
	m := message(string(make([]byte, 45_000)))
	for len(m) > 0 {
		n := min(len(m), 16_000)
		p.data(id, m[:n], false)
		m = m[n:]
	}
	if s := p.srv.Stats(); s.Withheld == 0 {
		t.Fatalf("nothing withheld: %+v", s)
	}
	before := g.from(p).credit[0]
	proceed <- struct{}{}
	<-received
	p.poke()
	if n := g.from(p).credit[0]; n > before {
		t.Fatalf("credit of %d bytes for a message that is still in use", n-before)
	}
	proceed <- struct{}{}
	p.await("credit", func() bool { return g.from(p).credit[0] > before })
	close(proceed)
}

// One that holds twice its budget all the same ends.
func TestSessionBudgetTwice(t *testing.T) {
	p := newPeer(t, Config{SessionBudget: 10_000}, goes("/g/Go", func(st *Stream) error {
		<-st.Context().Done()
		return nil
	}))
	p.greet()
	id, g := p.open("/g/Go", false), newGathered()
	for i := 0; i < 40 && p.data(id, message(string(make([]byte, 1000))), false) == nil; i++ {
	}
	if g.from(p).goAway != h2.EnhanceYourCalm || !p.l.closed {
		t.Errorf("GOAWAY with %v, %+v", g.goAway, p.srv.Stats())
	}
	p.s.Lost(nil)
	for p.srv.workers.busy() > 0 { // its methods find their contexts ended
		runtime.Gosched()
	}
}

// busy is how many workers are not idle.
func (w *workers) busy() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n - len(w.idle)
}

func TestServerBudget(t *testing.T) {
	p := newPeer(t, Config{ServerBudget: 1000}, func(s *Server) {
		goes("/g/Go", func(st *Stream) error { <-st.Context().Done(); return nil })(s)
		echoes(s)
	})
	p.greet()
	p.data(p.open("/g/Go", false), message(string(make([]byte, 2000))), false)
	refused := p.open("/e.E/Open", false)
	if g := newGathered().from(p); !g.ended[refused] || p.srv.Stats().OverBudget != 1 {
		t.Errorf("a stream above the budget: %+v", p.srv.Stats())
	}
	p.s.Lost(nil)
	for p.srv.workers.busy() > 0 {
		runtime.Gosched()
	}
}
