package stream

import (
	"testing"
	"time"
)

// subscribed is the source of a stream that has a subscription.
type subscribed struct{}

func (subscribed) pull(*Stream) {}
func (subscribed) gone(*Stream) {}

// TestSubscribersAreNotIdle, however seldom something is published; but they age.
func TestSubscribersAreNotIdle(t *testing.T) {
	p := newPeer(t, Config{Limits: Limits{Idle: time.Second, Age: time.Hour}}, func(s *Server) {
		s.Handle("/c/Open", Method{Open: func(st *Stream) (Handler, error) {
			if _, ok := st.Header().Value("subscribe"); ok {
				st.subs = subscribed{}
			}
			return ignores{}, nil
		}})
	})
	p.greet()
	p.open("/c/Open", false, "subscribe", "yes")
	p.open("/c/Open", false)
	passes(50*time.Minute, p)
	if n := p.s.Streams(); n != 1 || p.srv.Stats().TooIdle != 1 {
		t.Errorf("%d streams are left, %d were idle", n, p.srv.Stats().TooIdle)
	}
	passes(20*time.Minute, p)
	if n := p.s.Streams(); n != 0 || p.srv.Stats().TooOld != 1 {
		t.Errorf("%d streams are left, %d were too old", n, p.srv.Stats().TooOld)
	}
}

// TestLimitsThatCount: a method's, or else the server's, or else 30 s where there
// is an Admission.
func TestLimitsThatCount(t *testing.T) {
	const s = time.Second
	some := Limits{Idle: 1 * s, Receive: 2 * s, Send: -1}
	for _, c := range []struct {
		name  string
		cfg   Config
		own   Limits
		want  Limits
		looks time.Duration
	}{
		{"none", Config{}, Limits{}, Limits{}, 0},
		{"the server's", Config{Limits: some}, Limits{}, some, s / 4},
		{"the method's", Config{Limits: some}, Limits{Idle: -1, Send: 3 * s}, Limits{Idle: -1, Receive: 2 * s, Send: 3 * s}, s / 2},
		{"admission", Config{Admit: new(shortOf)}, Limits{}, Limits{Idle: 30 * s, Receive: 30 * s, Send: 30 * s}, 30 * s / 4},
		{"admission, some", Config{Admit: new(shortOf), Limits: some}, Limits{Age: time.Hour},
			Limits{Idle: 1 * s, Receive: 2 * s, Send: -1, Age: time.Hour}, s / 4},
		{"very short", Config{Limits: Limits{Idle: 1}}, Limits{}, Limits{Idle: 1}, lookLeast},
		{"very long", Config{Limits: Limits{Idle: time.Hour}}, Limits{}, Limits{Idle: time.Hour}, lookMost},
	} {
		srv := NewServer(c.cfg)
		if err := srv.Handle("/c/Open", Method{Open: func(*Stream) (Handler, error) { return ignores{}, nil }, Limits: c.own}); err != nil {
			t.Fatal(err)
		}
		if got := srv.methods["/c/Open"].Limits; got != c.want || srv.look != c.looks {
			t.Errorf("%s: %+v, looked at every %v, want %+v and %v", c.name, got, srv.look, c.want, c.looks)
		}
	}
}

// TestTurnsThatBringNothing: messages of which one has its turn and the other
// waits both end when neither goes on. The one that waits is not to blame for
// that time, but the turns change.
func TestTurnsThatBringNothing(t *testing.T) {
	const size = 1 << 20
	p := newPeer(t, Config{SessionBudget: 2 * size, Limits: Limits{Receive: 20 * time.Second}}, func(s *Server) {
		s.Handle("/c/Open", Method{Open: func(*Stream) (Handler, error) { return ignores{}, nil }})
	})
	p.greet()
	for range 2 {
		p.data(p.open("/c/Open", false), message(string(make([]byte, size)))[:10<<10], false)
	}
	for range 35 {
		passes(time.Second, p)
	}
	if n := p.srv.Stats().NotSent; n != 0 {
		t.Errorf("%d have ended although each had its turn for half of the time", n)
	}
	for range 60 {
		passes(time.Second, p)
	}
	if n := p.srv.Stats().NotSent; n != 2 {
		t.Errorf("%d have ended", n)
	}
}

// TestIdleSessionsDoNotLook: a session without streams has no timer for them.
func TestIdleSessionsDoNotLook(t *testing.T) {
	p := newPeer(t, Config{Limits: Limits{Idle: time.Second}}, unaries)
	p.greet()
	passes(time.Minute, p) // the timer for the preface comes all the same
	for range 3 {
		if when, _ := p.l.heap.Next(); when.Sub(p.l.now) < time.Minute {
			t.Fatalf("without streams it looks in %v", when.Sub(p.l.now))
		}
		p.data(p.open("/c/Unary", false), message("m"), true)
		passes(time.Second, p)
		passes(time.Second, p)
	}
}

func unaries(s *Server) {
	s.Handle("/c/Unary", Method{Unary: func(_ *Stream, m []byte) ([]byte, error) { return m, nil }})
}

// TestTwinIsAPath: what is told to clients can be told.
func TestTwinIsAPath(t *testing.T) {
	for twin, ok := range map[string]bool{"": true, "/a.B/C": true, "a.B/C": false, "/a.B/": false, "/C": false, "/a.B/C\n": false} {
		err := NewServer(Config{}).Handle("/c/Open", Method{Go: func(*Stream) error { return nil }, Twin: twin})
		if (err == nil) != ok {
			t.Errorf("%q: %v", twin, err)
		}
	}
}
