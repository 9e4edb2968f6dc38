package stream

import (
	"testing"

	"github.com/weir-go/weir/internal/h2"
)

// What no other test would notice: each of these fails for a change that was made
// on purpose, and that the rest let pass.

// meanwhile is a link that lets something happen when it is written to.
type meanwhile struct {
	*fakeLink
	f func()
}

func (l *meanwhile) Write(p []byte) (int, error) {
	if f := l.f; f != nil {
		l.f = nil
		f()
	}
	return l.fakeLink.Write(p)
}

// What is sent after the loop has looked for the last time, and before it says
// that it is not awake any more, wakes it up.
func TestSentBetweenTheLastLookAndSleep(t *testing.T) {
	srv := NewServer(Config{})
	var st *Stream
	srv.Handle("/t/Open", Method{Open: func(s *Stream) (Handler, error) { st = s; return stays{}, nil }})
	p := &peer{t: t, srv: srv, l: &fakeLink{room: -1, now: 1, poked: make(chan struct{}, 1)}, next: 1}
	link := &meanwhile{fakeLink: p.l}
	p.s = srv.Attach(link)
	defer p.s.Lost(nil)
	p.greet()
	id := p.open("/t/Open", false)
	p.poke()
	link.f = func() { st.Send([]byte("late")) }
	p.feed(h2.AppendPing(nil, false, [8]byte{})) // its answer is written
	if link.f != nil {
		t.Fatal("nothing was written")
	}
	select {
	case <-p.l.poked:
		p.s.Poked()
	default:
		t.Fatal("the loop was not woken")
	}
	if g := newGathered().from(p); string(g.data[id]) != string(message("late")) {
		t.Errorf("%q was sent", g.data[id])
	}
}

// Above the session's budget a stream's queue takes one message and no more.
func TestSessionBudgetOfSends(t *testing.T) {
	const budget, n, size = 100_000, 20, 10_000
	var all []*Stream
	p := newPeer(t, Config{SessionBudget: budget}, func(s *Server) {
		s.Handle("/t/Open", Method{Open: func(st *Stream) (Handler, error) { all = append(all, st); return stays{}, nil }})
	})
	p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 0})
	for range n {
		p.open("/t/Open", false)
	}
	for _, st := range all {
		for st.Send(make([]byte, size)) == nil {
		}
		if st.Queued() == 0 {
			t.Error("an empty queue has taken nothing")
		}
	}
	if held := p.srv.Stats().Held; held > budget+n*(size+h2.PrefixLen) {
		t.Errorf("%d bytes held", held)
	}
}

// Workers that have nothing to do are let go, and counted out.
func TestIdleWorkersEnd(t *testing.T) {
	p := newPeer(t, Config{Workers: 3}, goes("/g/Go", func(*Stream) error { return nil }))
	p.greet()
	w := &p.srv.workers
	for round := range 2 {
		for range 3 {
			p.open("/g/Go", true)
		}
		p.await("all are idle", func() bool { return p.s.Streams() == 0 && w.busy() == 0 })
		if n := p.srv.Stats(); n.Workers == 0 || n.NoWorker != 0 {
			t.Errorf("round %d: %+v", round, n)
		}
		w.trim() // sees them idle
		w.trim() // and still so
		if n := p.srv.Stats().Workers; n != 0 {
			t.Errorf("round %d: %d workers are left", round, n)
		}
	}
}

// When the window is given back, nobody goes on asking the loop for it.
func TestShortOnlyWhileShort(t *testing.T) {
	proceed := make(chan struct{})
	p := newPeer(t, Config{SessionBudget: 40_000, ConnWindow: h2.InitialWindow}, goes("/g/Go", func(st *Stream) error {
		<-proceed
		for {
			if _, err := st.Recv(); err != nil {
				return nil
			}
		}
	}))
	p.greet()
	id := p.open("/g/Go", false)
	for range 8 {
		p.data(id, message(string(make([]byte, 5000))), false)
	}
	if !p.s.short.Load() {
		t.Fatal("nothing is withheld")
	}
	close(proceed)
	p.await("the window", func() bool { return p.s.withheld == 0 })
	if p.s.short.Load() {
		t.Error("the loop is still asked for it")
	}
}
