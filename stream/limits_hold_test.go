package stream

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/h2"
)

// TestLimitsWhereNothingLeaves: a stream whose connection takes nothing ends all
// the same, and the goroutine that waits to send on it is told.
func TestLimitsWhereNothingLeaves(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits Limits
		more   []string
		want   Code
	}{
		{"send", Limits{Send: time.Second}, nil, ResourceExhausted},
		{"age", Limits{Age: time.Second, Send: -1}, nil, Unavailable},
		{"deadline", Limits{}, []string{"grpc-timeout", "1S"}, DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			ended := make(chan error, 1)
			p := newPeer(t, Config{Limits: c.limits, SendLimit: 1000}, goes("/c/Go", func(st *Stream) error {
				for {
					if err := st.SendWait(copied(make([]byte, 900), false)); err != nil {
						ended <- err
						return err
					}
				}
			}))
			p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 1 << 20})
			p.l.room = 0
			id := p.open("/c/Go", false, c.more...)
			st := p.s.core.Find(id).Owner
			p.await("the method waits", func() bool {
				return p.s.blocked && st.head != nil && st.marks.Load()&markWaiting != 0
			})
			for range 20 {
				passes(500*time.Millisecond, p)
			}
			if p.s.core.Find(id) != nil {
				t.Error("the stream is there yet")
			}
			p.await("the method is told", func() bool { return len(ended) > 0 })
			if err := <-ended; !errors.Is(err, &Status{Code: c.want}) {
				t.Errorf("the method is told %v", err)
			}
		})
	}
}

// TestAgedQueueLeavesFirst: what is queued has a tenth of the age to leave, and
// the end leaves behind it.
func TestAgedQueueLeavesFirst(t *testing.T) {
	for _, c := range []struct {
		name  string
		until time.Duration
		sent  string
		reset bool
	}{{"in time", 104 * time.Second, "abcdef", false}, {"too late", 111 * time.Second, "abc", true}} {
		t.Run(c.name, func(t *testing.T) {
			p := newPeer(t, Config{Limits: Limits{Age: 100 * time.Second}}, func(s *Server) {
				s.Handle("/c/Open", Method{Open: func(*Stream) (Handler, error) { return ignores{}, nil }})
			})
			p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 8})
			id := p.open("/c/Open", false)
			st := p.s.core.Find(id).Owner
			st.since.old = ticksOf(95 * time.Second)
			st.Emit([]byte("abc"))
			st.Emit([]byte("def"))
			for range c.until / time.Second {
				passes(time.Second, p)
			}
			p.feed(h2.AppendWindowUpdate(nil, id, 100))
			g := newGathered().from(p)
			got := ""
			for b := g.data[id]; len(b) > 0; b = b[8:] {
				got += string(b[5:8])
			}
			if got != c.sent || g.ended[id] == c.reset || (g.reset[id] == h2.Cancel) != c.reset || p.srv.Stats().TooOld != 1 {
				t.Errorf("sent %q, trailers: %v, reset with %v, %d too old", got, g.ended[id], g.reset[id], p.srv.Stats().TooOld)
			}
		})
	}
}

// TestLimitsOfAges: a limit of centuries is none.
func TestLimitsOfAges(t *testing.T) {
	const wraps = 1 << (32 + tickShift) // what ticks cannot count
	for _, d := range []time.Duration{math.MaxInt64, wraps, wraps / 10 * 9} {
		p := newPeer(t, Config{Limits: Limits{Idle: d, Receive: d, Send: d, Age: d}}, func(s *Server) {
			s.Handle("/c/Open", Method{Open: func(*Stream) (Handler, error) { return ignores{}, nil }})
		})
		p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 0})
		for range 20 {
			p.open("/c/Open", false)
		}
		p.data(1, message("whole")[:7], false)
		for range 100 {
			passes(time.Minute, p)
		}
		if n := p.s.Streams(); n != 20 {
			t.Errorf("%v: %d streams are left, %+v", d, n, p.srv.Stats())
		}
	}
}

// TestSessionsOfAges: nor does a session age that may last for centuries.
func TestSessionsOfAges(t *testing.T) {
	for range 20 { // half of them would
		p := newPeer(t, Config{MaxAge: math.MaxInt64, AgeGrace: math.MaxInt64, MaxIdle: math.MaxInt64}, unaries)
		p.greet()
		for range 10 {
			passes(time.Hour, p)
		}
		if n := p.srv.Stats().Drained; n != 0 {
			t.Fatal("it has drained")
		}
	}
}
