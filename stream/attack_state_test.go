package stream

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/h2"
)

// TestAttackAnswersNotRead: a peer that reads nothing asks for answers that are
// larger than its questions. What is framed for it stays bounded.
func TestAttackAnswersNotRead(t *testing.T) {
	p := newPeer(t, Config{}, echoes)
	p.greet()
	p.l.room = 0
	path := "/" + strings.Repeat("\xff", 3000) // %FF each in the answer
	most := 0
	n := 0
	for ; n < 20_000 && !p.l.closed; n++ {
		p.open(path, true)
		most = max(most, len(p.s.rest))
	}
	t.Logf("%d questions, at most %d bytes wait to be written", n, most)
	if most > 256<<10 {
		t.Errorf("%d bytes wait for a peer that does not read", most)
	}
}

// Half a frame after another is how bytes come: each has its own time.
func TestHalfFramesInARow(t *testing.T) {
	p := newPeer(t, Config{HeaderTimeout: time.Second, Enforce: Enforcement{MinTime: -1}}, echoes)
	p.greet()
	ping := h2.AppendPing(nil, false, [8]byte{})
	p.feed(ping[:12])
	for range 20 {
		p.l.now = p.l.now.Add(300 * time.Millisecond)
		p.l.heap.Advance(p.l.now)
		p.feed(append(append([]byte(nil), ping[12:]...), ping[:12]...))
	}
	if p.l.closed {
		t.Error("a session of many frames ended")
	}
	p.l.now = p.l.now.Add(time.Second)
	p.l.heap.Advance(p.l.now)
	if g := newGathered().from(p); !p.l.closed || g.goAway != h2.EnhanceYourCalm || p.srv.Stats().Slow != 1 {
		t.Errorf("the last one is waited for: %v", g.goAway)
	}
}

// A frame that is never complete.
func TestAttackHalfFrame(t *testing.T) {
	p := newPeer(t, Config{HeaderTimeout: time.Second}, echoes)
	p.greet()
	p.feed(h2.AppendHeaders(nil, 1, header("/e.E/Open"), true, h2.MinMaxFrame)[:20])
	for range 20 {
		p.l.now = p.l.now.Add(200 * time.Millisecond)
		p.l.heap.Advance(p.l.now)
		if p.l.closed {
			break
		}
		p.feed([]byte{0})
	}
	if g := newGathered().from(p); !p.l.closed || g.goAway != h2.EnhanceYourCalm {
		t.Errorf("half a frame is waited for: %v", g.goAway)
	}
}

// The peer could not know that its streams had ended.
func TestLateData(t *testing.T) {
	p := newPeer(t, Config{}, func(s *Server) {
		s.Handle("/t/No", Method{Open: func(*Stream) (Handler, error) { return nil, &Status{Code: Aborted} }})
	})
	p.greet()
	var ids []uint32
	for range 50 {
		ids = append(ids, p.open("/t/No", false))
	}
	for range 200 {
		for _, id := range ids {
			p.data(id, message("x"), false)
		}
	}
	if g := newGathered().from(p); p.l.closed {
		t.Errorf("the session ended: %v", g.goAway)
	}
}

// busyLink always has something of what it was given last under way.
type busyLink struct{ *fakeLink }

func (l busyLink) Pending() int { return 100 }

// A peer that reads, of a session whose output never rests, may ask for as many
// answers as it likes.
func TestAnswersUnderLoad(t *testing.T) {
	p := newPeer(t, Config{ControlLimit: 2000, Enforce: Enforcement{MinTime: -1}}, echoes)
	q := &peer{t: t, srv: p.srv, l: &fakeLink{room: -1, now: 1, poked: make(chan struct{}, 1)}, next: 1}
	q.s = p.srv.Attach(busyLink{q.l})
	defer func() { q.s.Lost(nil) }()
	q.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 1 << 30})
	id := q.open("/e.E/Open", false)
	for range 1000 {
		q.data(id, message("x"), false)
		q.feed(h2.AppendPing(nil, false, [8]byte{1}))
	}
	if g := newGathered().from(q); q.l.closed {
		t.Errorf("the session ended: %v", g.goAway)
	}
}

// One that reads nothing has as many as fit, of whatever kind.
func TestAttackControlAnswers(t *testing.T) {
	for name, f := range map[string]func(p *peer, i int){
		"PING":     func(p *peer, i int) { p.feed(h2.AppendPing(nil, false, [8]byte{})) },
		"SETTINGS": func(p *peer, i int) { p.l.now = p.l.now.Add(time.Second); p.feed(h2.AppendSettings(nil)) },
		"PING and requests": func(p *peer, i int) {
			p.open("/e.E/None", true)
			p.feed(h2.AppendPing(nil, false, [8]byte{}))
		},
		"errors": func(p *peer, i int) {
			p.l.now = p.l.now.Add(time.Second)
			p.feed(h2.AppendWindowUpdate(nil, p.open("/e.E/Open", false), 0))
		},
		"deadlines": func(p *peer, i int) {
			p.data(p.open("/e.E/Unary", false, "grpc-timeout", "1m"), message("x"), true)
			p.l.now = p.l.now.Add(time.Second)
			p.l.heap.Advance(p.l.now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			const limit = 8 << 10
			p := newPeer(t, Config{ControlLimit: limit, MaxStreams: 100, Enforce: Enforcement{MinTime: -1}}, echoes)
			p.greet()
			p.l.room = 0
			most, n := 0, 0
			for ; n < 100_000 && !p.l.closed; n++ {
				f(p, n)
				most = max(most, len(p.s.rest))
			}
			if !p.l.closed || most > restSize+limit+restEach*100+1<<10 {
				t.Errorf("after %d times %d bytes wait", n, most)
			}
			t.Logf("ends after %d times with %d bytes that wait", n, most)
		})
	}
}

// PINGs at a pace that calls may have are too many where there are no calls.
func TestPingsWithoutStreams(t *testing.T) {
	for _, calls := range []bool{true, false} {
		p := newPeer(t, Config{Enforce: Enforcement{MinTime: time.Second}}, echoes)
		p.greet()
		if calls {
			p.open("/e.E/Open", false)
		}
		for range 5 {
			p.l.now = p.l.now.Add(2 * time.Second)
			p.feed(h2.AppendPing(nil, false, [8]byte{}))
		}
		if p.l.closed == calls || (p.srv.Stats().PingAbuse == 0) != calls {
			t.Errorf("with calls %v: closed %v", calls, p.l.closed)
		}
	}
}
