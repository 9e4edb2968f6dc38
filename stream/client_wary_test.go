package stream

import (
	"testing"

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
