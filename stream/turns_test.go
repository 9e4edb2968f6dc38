package stream

import (
	"testing"

	"github.com/weir-go/weir/internal/h2"
)

// pauser pauses its stream with each message, and says so.
type pauser struct{ paused func(st *Stream) }

func (h pauser) Message(st *Stream, _ []byte) error { st.Pause(); h.paused(st); return nil }
func (h pauser) Closed(*Stream, error)              {}

// upload sends size bytes as one message as far as windows let it, and reports
// whether all are out.
func (p *peer) upload(g *gathered, id uint32, size int) bool {
	m := message(string(make([]byte, size)))
	for sent := 0; sent < len(m); {
		n := min(16<<10, len(m)-sent, h2.InitialWindow+g.from(p).credit[id]-sent)
		if n <= 0 {
			return false
		}
		p.data(id, m[sent:sent+n], false)
		sent += n
	}
	return true
}

// Messages that have begun on streams whose own side takes nothing have no turn:
// others go on. They have theirs when their side takes on.
func TestHeldUpHaveNoTurn(t *testing.T) {
	const size = 1 << 20
	for _, how := range []string{"paused", "starved"} {
		proceed := make(chan struct{})
		var held []*Stream
		p := newPeer(t, Config{SessionBudget: 2 << 20}, func(s *Server) {
			echoes(s)
			s.Handle("/p/Pause", Method{Open: func(*Stream) (Handler, error) {
				return pauser{func(st *Stream) { held = append(held, st) }}, nil
			}})
			goes("/g/Go", func(st *Stream) error {
				<-proceed
				for {
					if _, err := st.Recv(); err != nil {
						return nil
					}
				}
			})(s)
		})
		p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 1 << 30})
		p.feed(h2.AppendWindowUpdate(nil, 0, 1<<30))
		g, path, first := newGathered(), "/p/Pause", 1
		if how == "starved" {
			path, first = "/g/Go", 40_000
		}
		slow := []uint32{p.open(path, false), p.open(path, false)}
		before := make(map[uint32]int)
		for _, id := range slow {
			// A message that makes it so, and the beginning of the next.
			b := append(message(string(make([]byte, first))), message(string(make([]byte, size)))...)
			for b = b[:60_000]; len(b) > 0; b = b[min(len(b), 15_000):] {
				p.data(id, b[:min(len(b), 15_000)], false)
			}
			before[id] = g.from(p).credit[id]
		}
		if n := p.s.growing.turns; n != 0 {
			t.Errorf("%s: %d have a turn", how, n)
		}
		other := p.open("/e.E/Open", false)
		if !p.upload(g, other, size) || len(g.from(p).data[other]) != size+h2.PrefixLen {
			t.Errorf("%s: another stream waits for them", how)
		}
		close(proceed)
		for _, st := range held {
			st.Resume()
		}
		more := func() bool {
			g.from(p)
			return g.credit[slow[0]]+g.credit[slow[1]] > before[slow[0]]+before[slow[1]]
		}
		p.await("a turn", func() bool { return more() && p.s.growing.turns == 1 })
		for _, id := range slow {
			p.feed(h2.AppendRSTStream(nil, id, h2.Cancel))
		}
		p.await("the end of the methods", func() bool { return p.srv.workers.busy() == 0 })
		if n := p.s.growing; n != (growing{}) {
			t.Errorf("%s: %+v is left", how, n)
		}
	}
}

// Pause in the middle of a message gives the turn away, and Resume asks for it
// again.
func TestPauseGivesTheTurnAway(t *testing.T) {
	const size = 1 << 20
	var all []*Stream
	p := newPeer(t, Config{SessionBudget: 2 << 20}, func(s *Server) {
		s.Handle("/p/Open", Method{Open: func(st *Stream) (Handler, error) {
			all = append(all, st)
			return echo{}, nil
		}})
	})
	p.greet()
	g := newGathered()
	for range 3 {
		id := p.open("/p/Open", false)
		m := message(string(make([]byte, size)))
		p.data(id, m[:16<<10], false)
		p.data(id, m[16<<10:32<<10], false)
		p.data(id, m[32<<10:48<<10], false)
	}
	turns := func() (s string) {
		for i, st := range all {
			if st.in.turn == haveTurn {
				s += string(rune('0' + i))
			}
		}
		return s
	}
	check := func(when, want string) {
		t.Helper()
		if got := turns(); got != want {
			t.Errorf("%s: the turn is %q's, not %q's", when, got, want)
		}
	}
	check("at first", "0")
	all[1].Pause() // waits
	all[0].Pause() // has its turn
	check("paused", "2")
	if g.from(p).credit[5] == 0 {
		t.Error("no credit with the turn")
	}
	all[0].Resume()
	check("resumed", "2")
	p.feed(h2.AppendRSTStream(nil, 5, h2.Cancel))
	all = all[:2]
	check("after the last", "0")
	p.feed(h2.AppendRSTStream(nil, 1, h2.Cancel))
	all = all[1:]
	check("nobody wants it", "")
	all[0].Resume()
	check("alone", "0")
	p.feed(h2.AppendRSTStream(nil, 3, h2.Cancel))
	if n := p.s.growing; n != (growing{}) {
		t.Errorf("%+v is left", n)
	}
}

// A turn that brings nothing is passed on when others wait, and comes again.
func TestIdleTurnsArePassedOn(t *testing.T) {
	const size = 1 << 20
	p := newPeer(t, Config{SessionBudget: 2 << 20}, echoes)
	p.greet()
	begin := func(n int) uint32 {
		id := p.open("/e.E/Open", false)
		p.data(id, message(string(make([]byte, size)))[:n], false)
		return id
	}
	state := func(id uint32) turnOf { return p.s.core.Find(id).Owner.in.turn }
	pass := func() {
		p.l.now = p.l.now.Add(turnTime)
		p.l.heap.Advance(p.l.now)
	}
	first := begin(16 << 10)
	pass()
	pass()
	if state(first) != haveTurn {
		t.Error("the turn is taken away for nobody")
	}
	second := begin(16 << 10)
	pass() // both are looked at for the first time
	p.data(first, []byte("x"), false)
	pass()
	if state(first) != haveTurn || state(second) != awaitTurn {
		t.Error("one that brings bytes has its turn taken away")
	}
	pass()
	if state(first) != awaitTurn || state(second) != haveTurn {
		t.Error("an idle turn is not passed on")
	}
	pass()
	pass()
	if state(first) != haveTurn || state(second) != awaitTurn {
		t.Error("the turn does not come again")
	}
	// One that holds too much to wait ends.
	g := newGathered()
	for n := 16<<10 + 1; n < 900<<10; n += 16 << 10 {
		if room := h2.InitialWindow + g.from(p).credit[first] - n; room < 16<<10 {
			t.Fatalf("a turn with a window of %d bytes", room)
		}
		p.data(first, make([]byte, 16<<10), false)
	}
	third := begin(16 << 10)
	pass()
	pass()
	if g.from(p); !g.ended[first] || state(second) != haveTurn || g.ended[second] || g.ended[third] {
		t.Errorf("ended: %v", g.ended)
	}
	for id := second; id < p.next; id += 2 {
		p.feed(h2.AppendRSTStream(nil, id, h2.Cancel))
	}
	if n := p.s.growing; n != (growing{}) {
		t.Errorf("%+v is left", n)
	}
}
