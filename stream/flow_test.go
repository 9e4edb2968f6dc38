package stream

import (
	"testing"

	"github.com/weir-go/weir/internal/h2"
)

// swallow takes whatever comes.
type swallow struct{}

func (swallow) Message(*Stream, []byte) error { return nil }
func (swallow) Closed(*Stream, error)         {}

// A peer that fills its windows while a PING is on its way gets larger ones, up
// to the limit; one that sends little is not even pinged.
func TestWindowsGrow(t *testing.T) {
	const most = 300_000
	p := newPeer(t, Config{ConnWindow: h2.InitialWindow, MaxWindow: most}, func(s *Server) {
		s.Handle("/s/Open", Method{Open: func(*Stream) (Handler, error) { return swallow{}, nil }})
	})
	p.greet()
	id := p.open("/s/Open", false)
	chunk := message(string(make([]byte, 16_000)))
	stream, conn, pings := h2.InitialWindow, h2.InitialWindow, 0
	p.frames()
	for round := range 200 {
		for range 1 + round/4 { // what the windows have room for
			if stream >= len(chunk) && conn >= len(chunk) {
				stream, conn = stream-len(chunk), conn-len(chunk)
				p.data(id, chunk, false)
			}
		}
		for _, f := range p.frames() {
			n := 0
			if len(f.p) >= 4 {
				n = int(f.p[0])<<24 | int(f.p[1])<<16 | int(f.p[2])<<8 | int(f.p[3])
			}
			switch {
			case f.Type == h2.FrameWindowUpdate && f.Stream == 0:
				conn += n
			case f.Type == h2.FrameWindowUpdate:
				stream += n
			case f.Type == h2.FramePing && string(f.p) == string(flowPing[:]):
				pings++
				p.feed(h2.AppendPing(nil, true, flowPing))
			}
		}
	}
	if stream <= h2.InitialWindow || stream > most {
		t.Errorf("the stream may send %d bytes", stream)
	}
	fresh := p.open("/s/Open", false)
	p.data(fresh, message("little"), false)
	for _, f := range p.frames() {
		if f.Type == h2.FrameWindowUpdate && f.Stream == fresh {
			t.Error("a stream that has sent little has a larger window")
		}
	}
	if pings == 0 || p.s.flow.product <= h2.InitialWindow || p.s.flow.product > most {
		t.Errorf("%d pings, the estimate is %d", pings, p.s.flow.product)
	}
	if err := p.s.core.Err(); err != nil {
		t.Error(err)
	}

	q := newPeer(t, Config{}, echoes)
	q.greet()
	id = q.open("/e.E/Open", false)
	for range 100 {
		q.data(id, message("little"), false)
	}
	for _, f := range q.frames() {
		if f.Type == h2.FramePing {
			t.Error("a PING for next to nothing")
		}
	}
}
