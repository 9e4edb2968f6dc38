package stream

import (
	"testing"

	"github.com/weir-go/weir/internal/h2"
)

// feeder is a source that pushes a message as often as it can, up to n.
type feeder struct {
	m     *Message
	n     int
	pulls int
	left  bool
}

func (f *feeder) pull(st *Stream) {
	f.pulls++
	for f.n > 0 {
		if !st.push(f.m) {
			st.want()
			return
		}
		f.n--
	}
}

func (f *feeder) gone(*Stream) { f.left = true }

// A source is asked again when a window or the link lets something through, and
// not before.
func TestSourceWaitsForWindows(t *testing.T) {
	for _, size := range []int{10, 3000, 40_000} {
		p := newPeer(t, Config{}, echoes)
		p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 100})
		id := p.open("/e.E/Open", false)
		st := p.s.core.Find(id).Owner
		f := &feeder{m: NewMessage(make([]byte, size)), n: 20}
		st.subs = f
		p.s.begin()
		f.pull(st)
		p.s.flush()
		g, want := newGathered().from(p), 20*(size+h2.PrefixLen)
		if n := len(g.data[id]); n > 100 || f.pulls > 2 {
			t.Fatalf("%d bytes: %d sent with a window of 100, %d pulls", size, n, f.pulls)
		}
		// The connection's window is shut now and then, the link full.
		for i := 0; len(g.data[id]) < want; i++ {
			before := f.pulls
			switch i % 4 {
			case 0:
				p.feed(h2.AppendWindowUpdate(nil, id, 30_000))
			case 1:
				p.feed(h2.AppendWindowUpdate(nil, 0, 20_000))
			case 2:
				p.l.room = 500
				p.s.Drained()
			case 3:
				p.l.room = -1
				p.s.Drained()
			}
			if g.from(p); f.pulls > before+20 || i > 1000 {
				t.Fatalf("%d bytes: %d pulls in one go, round %d", size, f.pulls-before, i)
			}
		}
		if len(g.data[id]) != want || f.n != 0 {
			t.Errorf("%d bytes: %d sent of %d", size, len(g.data[id]), want)
		}
		st.Finish(nil)
		p.poke()
		if !f.left || !g.from(p).ended[id] {
			t.Errorf("%d bytes: the source was not told of the end", size)
		}
		f.m.Release()
	}
}
