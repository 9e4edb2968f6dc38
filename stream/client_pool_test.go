package stream

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/h2"
)

// holds fails when another number of calls waits, or is open on each
// connection.
func (g *stage) holds(waiting int, open ...int) {
	g.t.Helper()
	if s := g.c.Stats(); s.Waiting != waiting {
		g.t.Fatalf("%d calls wait, want %d", s.Waiting, waiting)
	}
	for i, n := range open {
		if got := g.fars[i].s.core.Len(); got != n {
			g.t.Fatalf("%d streams on connection %d, want %d", got, i+1, n)
		}
	}
}

// Another connection is made when the first has no room, never more than
// MaxConns; what has none waits, in order.
func TestPoolGrowsWhenFull(t *testing.T) {
	g := newStage(t, ClientConfig{})
	for range 7 {
		g.start("/a/B", CallOptions{})
	}
	g.holds(7)
	a := g.connect(limit(2))
	g.holds(5, 2)
	b := g.connect(limit(2))
	g.holds(3, 2, 2)
	if g.dial() != nil {
		t.Fatal("a third connection is begun")
	}
	a.hears("open 1 /a/B", "open 3 /a/B")
	a.finish(3, "0")
	a.hears("reset 3 NO_ERROR", "open 5 /a/B")
	b.feed(h2.AppendSettings(nil, limit(3))) // it allows more
	g.holds(1, 2, 3)
}

// As long as there is room, nothing is dialed.
func TestPoolStaysSmall(t *testing.T) {
	g := newStage(t, ClientConfig{MaxConns: 8})
	for range 200 {
		g.start("/a/B", CallOptions{})
	}
	g.connect()
	g.holds(0, 200)
	for range 200 {
		g.start("/a/B", CallOptions{})
	}
	if s := g.c.Stats(); s.Dials != 1 || g.dial() != nil {
		t.Errorf("%+v", s)
	}
	g.holds(0, 400)
}

// A connection whose window is full for long is not for new calls, if there is
// or can be another.
func TestPoolGrowsWhenCrowded(t *testing.T) {
	g := newStage(t, ClientConfig{})
	st, _ := g.start("/a/B", CallOptions{})
	a := g.connect()
	st.Send(make([]byte, 70_000)) // more than the connection's window
	g.settle()
	if a.s.line.crowded() {
		t.Fatal("crowded at once")
	}
	if since := a.s.line.since.Load(); since == 0 {
		t.Fatal("nobody has noted that the window is full")
	}
	g.start("/a/B", CallOptions{})
	if g.dial() != nil {
		t.Fatal("another connection at once")
	}
	a.s.line.since.Store(-1e9) // a long time ago
	g.start("/a/B", CallOptions{})
	g.holds(0, 3)
	g.connect()
	g.start("/a/B", CallOptions{})
	g.holds(0, 3, 1)
	a.feed(h2.AppendWindowUpdate(nil, 0, 1<<20))
	a.feed(h2.AppendWindowUpdate(nil, 1, 1<<20))
	if a.s.line.crowded() {
		t.Error("still crowded")
	}
}

func TestPoolRetiresIdle(t *testing.T) {
	g := newStage(t, ClientConfig{Config: Config{MaxIdle: time.Second}})
	g.start("/a/B", CallOptions{})
	a := g.connect()
	a.pass(2 * time.Second)
	if a.l.closed {
		t.Fatal("closed with a call")
	}
	a.finish(1, "0")
	a.heard()
	a.pass(time.Second / 2)
	if a.l.closed {
		t.Fatal("closed too early")
	}
	for range 3 {
		a.pass(time.Second)
	}
	a.hears("goaway")
	if !a.l.closed {
		t.Fatal("not closed")
	}
	a.lose()
	g.start("/a/B", CallOptions{})
	g.connect()
	g.holds(0, 0, 1)
}

// A call may be placed on a connection that goes at the same moment.
func TestPoolRetiresWhileCalled(t *testing.T) {
	g := newStage(t, ClientConfig{Config: Config{MaxIdle: time.Second}})
	g.start("/a/B", CallOptions{})
	a := g.connect()
	a.finish(1, "0")
	h := newTeller()
	if _, err := g.c.Start("/a/C", CallOptions{}, h); err != nil { // not poked yet
		t.Fatal(err)
	}
	a.s.begin() // as in a callback of the session
	a.s.drain("max_idle")
	a.s.flush()
	g.settle()
	g.holds(1)
	b := g.connect()
	b.hears("open 1 /a/C")
}

func TestWaitingIsBounded(t *testing.T) {
	g := newStage(t, ClientConfig{MaxWaiting: 3, Backoff: Backoff{Min: time.Hour, Max: time.Hour}})
	_, h1 := g.start("/a/B", CallOptions{})
	_, h2 := g.start("/a/B", CallOptions{WaitForReady: true})
	_, h3 := g.start("/a/B", CallOptions{})
	if _, err := g.c.Start("/a/B", CallOptions{}, nil); err != ErrBusy {
		t.Error(err)
	}
	if _, err := g.c.Call(context.Background(), "/a/B", CallOptions{}); err != ErrBusy || StatusOf(err).Code != ResourceExhausted {
		t.Error(err)
	}
	g.fail()
	if h1.ended() != "UNAVAILABLE" || h2.ended() != "" || h3.ended() != "UNAVAILABLE" {
		t.Errorf("they have ended: %q, %q, %q", h1.ended(), h2.ended(), h3.ended())
	}
	// During the pause who cannot wait is told at once.
	if _, err := g.c.Start("/a/B", CallOptions{}, nil); !errors.Is(err, &Status{Code: Unavailable}) {
		t.Error(err)
	}
	if g.dial() != nil {
		t.Fatal("no pause")
	}
	g.c.cooling.Stop()
	g.c.warm()
	g.connect()
	g.holds(0, 1)
	if s := g.c.Stats(); s.Busy != 2 || s.DialErrors != 1 || s.Connected != 1 {
		t.Errorf("%+v", s)
	}
}

func TestTargetsInTurn(t *testing.T) {
	g := newStage(t, ClientConfig{
		Targets: []conn.Addr{conn.Unix("/1"), conn.Unix("/2"), conn.Unix("/3")}, MaxConns: 2,
		Backoff: Backoff{Min: time.Hour, Max: time.Hour},
	})
	next := func(want string) {
		t.Helper()
		if a := g.dial(); a == nil || a.target.Path != want {
			t.Fatalf("dials %v, want %s", a, want)
		}
	}
	_, h := g.start("/a/B", CallOptions{})
	next("/1")
	g.fail()
	next("/2")
	g.fail()
	next("/3")
	g.connect(limit(1))
	g.holds(0, 1)
	_, h2 := g.start("/a/B", CallOptions{})
	for _, target := range []string{"/1", "/2", "/3"} {
		next(target)
		g.fail()
	}
	if g.dial() != nil || h.ended() != "" || h2.ended() != "" {
		t.Error("there is a connection that will have room")
	}
	g.fars[0].finish(1, "0")
	g.holds(0, 1)
}

func TestBackoff(t *testing.T) {
	b := Backoff{Min: 100 * time.Millisecond, Max: 20 * time.Second}
	for rounds, most := range map[int]time.Duration{
		0: b.Min, 1: 2 * b.Min, 5: 32 * b.Min, 7: 128 * b.Min, 8: b.Max, 9: b.Max, 1000: b.Max,
	} {
		low, high := most, time.Duration(0)
		for range 2000 {
			d := b.delay(rounds)
			low, high = min(low, d), max(high, d)
		}
		if low <= 0 || low > most/10 || high > most || high < most*9/10 {
			t.Errorf("after %d rounds %v to %v, want up to %v", rounds, low, high, most)
		}
	}
}

// The settings do not come: the connection counts as one that failed.
func TestPoolNotReady(t *testing.T) {
	g := newStage(t, ClientConfig{Backoff: Backoff{Min: time.Hour, Max: time.Hour}})
	_, h := g.start("/a/B", CallOptions{})
	a := g.dials[0]
	g.dials = nil
	f := newFar(g)
	f.s = a.attach(f.l)
	g.fars = append(g.fars, f)
	f.pass(time.Minute)
	if !f.l.closed {
		t.Fatal("it is not closed")
	}
	f.lose()
	if h.ended() != "UNAVAILABLE" || g.c.Stats().DialErrors != 1 {
		t.Errorf("%q, %+v", h.ended(), g.c.Stats())
	}
}

// Cancelled in every state, a call ends once, and nothing is left.
func TestCancelEverywhere(t *testing.T) {
	g := newStage(t, ClientConfig{})
	waiting, h1 := g.start("/a/B", CallOptions{})
	waiting.Send([]byte("x"))
	waiting.Cancel()
	g.settle()
	g.holds(0)
	if h1.ended() != "CANCELED" {
		t.Errorf("waiting: %q", h1.ended())
	}
	open, h2 := g.start("/a/C", CallOptions{})
	a := g.connect()
	h3 := newTeller()
	placed, err := g.c.Start("/a/D", CallOptions{}, h3)
	if err != nil {
		t.Fatal(err)
	}
	placed.Send([]byte("y"))
	placed.Cancel()
	g.settle()
	if h3.ended() != "CANCELED" {
		t.Errorf("placed: %q", h3.ended())
	}
	open.Cancel()
	open.Cancel()
	g.settle()
	a.hears("open 1 /a/C", "reset 1 CANCEL")
	if h2.ended() != "CANCELED" || open.Send(nil) != ErrClosed {
		t.Errorf("open: %q", h2.ended())
	}
	// Refused, and between two connections.
	moving, h4 := g.start("/a/E", CallOptions{})
	a.s.begin()
	a.feed(h2rst(3))
	moving.Cancel()
	a.s.flush()
	g.settle()
	if h4.ended() != "CANCELED" {
		t.Errorf("moving: %q", h4.ended())
	}
	g.holds(0, 0)
}

func h2rst(id uint32) []byte { return h2.AppendRSTStream(nil, id, h2.RefusedStream) }

func TestDeadlineInLimbo(t *testing.T) {
	g := newStage(t, ClientConfig{})
	h := newTeller()
	if _, err := g.c.Start("/a/B", CallOptions{Timeout: time.Millisecond}, h); err != nil {
		t.Fatal(err)
	}
	for late := time.After(longest); h.ended() == ""; {
		select {
		case <-late:
			t.Fatal("its time is never up")
		case <-time.After(time.Millisecond):
			g.settle()
		}
	}
	if h.ended() != "DEADLINE_EXCEEDED" {
		t.Error(h.ended())
	}
	g.holds(0)
}
