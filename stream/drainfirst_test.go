package stream

import (
	"testing"

	"github.com/weir-go/weir/internal/h2"
)

// leaver ends its session and then its stream while the session reads.
type leaver struct{ ignores }

func (leaver) Message(st *Stream, _ []byte) error {
	st.Session().Drain()
	return st.Post(func(st *Stream) { st.Finish(nil) })
}

// TestDrainBeforeFinish: who is told of both hears of the session's end first.
func TestDrainBeforeFinish(t *testing.T) {
	p := newPeer(t, Config{}, func(s *Server) {
		s.Handle("/c/Leave", Method{Open: func(*Stream) (Handler, error) { return leaver{}, nil }})
	})
	p.greet()
	id := p.open("/c/Leave", false)
	p.frames()
	p.data(id, message("x"), false)
	p.poke()
	var heard []h2.Type
	for _, f := range p.frames() {
		if f.Type == h2.FrameGoAway || f.Type == h2.FrameHeaders {
			heard = append(heard, f.Type)
		}
	}
	if len(heard) < 2 || heard[0] != h2.FrameGoAway || heard[1] != h2.FrameHeaders {
		t.Errorf("the peer hears %v", heard)
	}
	if n := p.srv.Stats().Drained; n != 1 {
		t.Errorf("it has drained %d times", n)
	}
}
