package stream

import (
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/internal/h2"
)

// newFarewell is a peer that there is no room for.
func newFarewell(t *testing.T, cfg Config) (*peer, *theatre) {
	p := &peer{t: t, srv: NewServer(cfg), l: &fakeLink{room: -1, now: 1, poked: make(chan struct{}, 1)}, next: 1}
	p.srv.giving.every = time.Hour
	unaries(p.srv)
	p.s = p.srv.attach(p.l, true)
	t.Cleanup(func() { p.s.Lost(nil) })
	return p, &theatre{t: t, p: p, dec: hpack.NewDecoder(4096, nil)}
}

func (w *theatre) sent(skip int) (all []string) {
	w.trace = nil
	w.show()
	return w.trace[skip:]
}

func compareTraces(t *testing.T, got []string, want ...string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("line %d of\n%q\nis not as in\n%q", i+1, got, want)
		}
	}
}

// TestFarewellAnswersAll that has come with the first call, whatever it is, and
// then ends.
func TestFarewellAnswersAll(t *testing.T) {
	short := &shortOf{bounds.Verdict{State: bounds.Hard, Resource: bounds.Descriptors, Back: time.Second}}
	p, w := newFarewell(t, Config{Admit: short})
	b := append([]byte(h2.Preface), h2.AppendSettings(nil)...)
	b = h2.AppendHeaders(b, 1, header("/c/Unary"), false, h2.MinMaxFrame)
	b = h2.AppendData(b, 1, message("m"), true)
	b = h2.AppendHeaders(b, 3, header("/no/Such"), true, h2.MinMaxFrame)
	b = h2.AppendPing(b, false, [8]byte{'p'})
	p.feed(b)
	const told = ` :status="200" grpc-status="14" grpc-message="the server has no room for another connection" grpc-retry-pushback-ms weir-degraded="descriptors" end`
	compareTraces(t, w.sent(2),
		"  > SETTINGS ack",
		"  > HEADERS 1"+told,
		"  > RST_STREAM 1 NO_ERROR",
		"  > HEADERS 3"+told,
		`  > PING ack "p"`,
		`  > GOAWAY 3 NO_ERROR "the server has no room for another connection"`,
		"  > close")
	if s := p.srv.Stats(); s.Farewells != 2 || s.Streams != 0 {
		t.Errorf("%+v", s)
	}
}

// TestFarewellWaits a second for a call.
func TestFarewellWaits(t *testing.T) {
	p, w := newFarewell(t, Config{})
	p.greet()
	compareTraces(t, w.sent(2), "  > SETTINGS ack")
	passes(999*time.Millisecond, p)
	compareTraces(t, w.sent(0))
	passes(time.Millisecond, p)
	compareTraces(t, w.sent(0), `  > GOAWAY 0 NO_ERROR "the server has no room for another connection"`, "  > close")
}

// TestOwnLimitsSayWhen: what a server refuses for its own limits says when to come
// back, too.
func TestOwnLimitsSayWhen(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(s *Server)
		path  string
		want  string
	}{
		{"workers", func(s *Server) {
			s.workers.close()
			s.Handle("/c/Go", Method{Go: func(*Stream) error { return nil }})
		}, "/c/Go", `grpc-message="too many calls at once" grpc-retry-pushback-ms weir-degraded="goroutines" end`},
		{"bytes", func(s *Server) {
			unaries(s)
			s.held.Add(3 * s.cfg.ServerBudget)
		}, "/c/Unary", `grpc-message="the byte budget is used up" grpc-retry-pushback-ms weir-degraded="memory" end`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPeer(t, Config{}, c.setup)
			w := &theatre{t: t, p: p, dec: hpack.NewDecoder(4096, nil)}
			p.greet()
			w.sent(0)
			p.open(c.path, true)
			compareTraces(t, w.sent(0), `  > HEADERS 1 :status="200" grpc-status="8" `+c.want)
			if held := p.srv.held.Load(); held > 0 {
				p.srv.held.Add(-held)
			}
		})
	}
}
