package stream

import (
	"testing"

	"github.com/weir-go/weir/internal/h2"
)

// Streams that end while they stand in line for a window that does not open, or
// for a link that takes nothing, are not kept.
func TestAttackEndedInLine(t *testing.T) {
	for _, how := range []string{"window", "link"} {
		const streams = 5000
		p := newPeer(t, Config{}, func(s *Server) {
			s.Handle("/s/Say", Method{Open: func(st *Stream) (Handler, error) {
				st.SendHeader(nil) // so that RST_STREAM is nothing to be counted
				return nil, st.Send(make([]byte, 32<<10))
			}})
		})
		p.greet()
		if how == "link" {
			p.l.room = 0
			p.feed(h2.AppendWindowUpdate(nil, 0, 1<<30))
		}
		for range streams {
			id := p.open("/s/Say", false)
			p.feed(h2.AppendRSTStream(nil, id, h2.Cancel))
			p.l.out = p.l.out[:0]
			p.l.now += 10_000_000
		}
		n := 0
		for st := p.s.run.head; st != nil; st = st.next {
			n++
		}
		for st := p.s.ends.head; st != nil; st = st.next {
			n++
		}
		t.Logf("%s: %d of %d streams are kept", how, n, streams)
		if p.l.closed {
			t.Errorf("%s: the session has ended", how)
		}
		if n > 200 {
			t.Errorf("%s: %d streams stand in line that have ended", how, n)
		}
	}
}
