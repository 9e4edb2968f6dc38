package stream

import (
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/h2"
)

// meet lets the dial succeed; the server's SETTINGS are still to come.
func (g *stage) meet() *far {
	g.t.Helper()
	if g.dial() == nil {
		g.t.Fatal("nobody dials")
	}
	a := g.dials[0]
	g.dials = g.dials[1:]
	f := newFar(g)
	f.s = a.attach(f.l)
	g.fars = append(g.fars, f)
	f.l.out = f.l.out[len(h2.Preface):]
	return f
}

// A stream that posts to itself while it has no connection does not hold the
// loop when it gets one.
func TestPostToItselfWithoutConnection(t *testing.T) {
	g := newStage(t, ClientConfig{})
	st, h := g.start("/a/B", CallOptions{})
	const most = 10_000
	n := 0
	var again func(st *Stream)
	again = func(st *Stream) {
		if n++; n < most {
			st.Post(again)
		}
	}
	st.Post(again)
	f := g.meet()
	if _, err := f.s.Feed(h2.AppendSettings(nil)); err != nil {
		t.Fatal(err)
	}
	if n == 0 || n > most/2 {
		t.Errorf("%d posts in one turn", n)
	}
	st.Cancel()
	g.settle()
	if h.ended() != "CANCELED" {
		t.Error(h.ended())
	}
}

// A call that waits for another connection, because this one has refused it,
// does not keep others from this one.
func TestRefusedKeepsNobodyOut(t *testing.T) {
	g := newStage(t, ClientConfig{})
	g.start("/a/First", CallOptions{})
	f := g.connect(limit(100))
	f.refuse(1)
	g.holds(1, 0) // and another connection is being made
	g.start("/a/Second", CallOptions{})
	g.holds(1, 1)
	g.fail() // the other one is not to be had
	g.holds(0, 2)
}

// A connection that becomes ready while Close runs is closed, too.
func TestReadyWhileClosing(t *testing.T) {
	g := newStage(t, ClientConfig{})
	g.start("/a/B", CallOptions{WaitForReady: true})
	f := g.meet()
	over := make(chan struct{})
	go func() { g.c.Close(); close(over) }()
	<-g.c.life.Done() // it has seen what connections there are
	f.feed(h2.AppendSettings(nil))
	if !f.l.closed {
		t.Error("it stays open, and Close waits for it")
	}
	f.lose()
	select {
	case <-over:
	case <-time.After(longest):
		t.Fatal("Close does not return")
	}
}

// A server that is ready and says goodbye in one breath is not dialed on and on: a
// few times, which may be by chance, then each of the targets once, then there is a
// pause.
func TestGoodbyeAtOnce(t *testing.T) {
	two := []conn.Addr{conn.Unix("/1"), conn.Unix("/2")}
	g := newStage(t, ClientConfig{Targets: two, Backoff: Backoff{Min: time.Hour, Max: time.Hour}})
	_, patient := g.start("/a/Patient", CallOptions{WaitForReady: true})
	_, hasty := g.start("/a/Hasty", CallOptions{})
	for range goodbyes + len(two) {
		f := g.meet()
		f.feed(h2.AppendGoAway(h2.AppendSettings(nil), 0, h2.NoError, ""))
		f.lose()
	}
	if g.dial() != nil {
		t.Fatal("it is dialed again at once")
	}
	if hasty.ended() != "UNAVAILABLE" || patient.ended() != "" {
		t.Errorf("%q and %q", hasty.ended(), patient.ended())
	}
	g.c.warm()
	f := g.connect()
	f.hears("open 1 /a/Patient")
	if g.c.rounds != 0 || g.c.failed != 0 {
		t.Error("it is not forgotten when a stream is opened")
	}
}

// What is kept to be sent again is this end's own doing: the server's window is
// opened all the same.
func TestKeptDoesNotCloseTheWindow(t *testing.T) {
	g := newStage(t, ClientConfig{Config: Config{SessionBudget: 10_000}})
	for range 3 {
		st, _ := g.start("/a/Silent", CallOptions{})
		if err := st.Send(make([]byte, 5000)); err != nil {
			t.Fatal(err)
		}
	}
	g.start("/a/Talker", CallOptions{})
	f := g.connect(limit(100))
	if f.s.held.Load() < 15_000 {
		t.Fatalf("%d bytes are kept", f.s.held.Load())
	}
	f.answer(7, "hello")
	for range 10 {
		f.feed(h2.AppendData(nil, 7, message("hello"), false))
	}
	if f.s.withheld != 0 {
		t.Errorf("%d bytes of the window are withheld", f.s.withheld)
	}
}

// A server cannot do away with keepalive by repeating itself.
func TestTooManyPingsOnce(t *testing.T) {
	g := newStage(t, ClientConfig{Config: Config{Keepalive: Keepalive{Time: time.Minute}}})
	g.start("/a/B", CallOptions{})
	f := g.connect()
	for range 3 {
		f.feed(h2.AppendGoAway(nil, 1, h2.EnhanceYourCalm, "too_many_pings"))
	}
	if got := g.c.aliveTime(); got != 2*time.Minute {
		t.Errorf("pinged every %v, want 2m", got)
	}
}
