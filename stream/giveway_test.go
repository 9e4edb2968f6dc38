package stream

import (
	"errors"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/internal/h2"
)

// TestIdlest: streams go by how long they have been idle, the twentieth that has
// been so for longest, and none that has been idle for less than 10 s.
func TestIdlest(t *testing.T) {
	const nobody = 1<<63 - 1
	for _, c := range []struct {
		name   string
		census map[int]int64
		want   int64
	}{
		{"nobody", nil, nobody},
		{"just now", map[int]int64{0: 100}, nobody},
		{"some seconds", map[int]int64{3: 100}, 10},
		{"one long", map[int]int64{5: 19, 10: 1}, 512},
		{"too few", map[int]int64{5: 100, 10: 4}, 16},
		{"enough together", map[int]int64{5: 90, 10: 4, 11: 1}, 512},
		{"few at all", map[int]int64{4: 1}, 10},
	} {
		var g giving
		for i, n := range c.census {
			g.census[i].Store(n)
		}
		if got := g.oldest(); got != c.want {
			t.Errorf("%s: %d s, want %d", c.name, got, c.want)
		}
		if got := g.oldest(); got != nobody {
			t.Errorf("%s: what was counted before counts still: %d s", c.name, got)
		}
	}
}

// throng is a server with many sessions, of which one has many streams.
func throng(t *testing.T, sessions, streams int) (short *shortOf, all []*peer) {
	short = new(shortOf)
	first := newPeer(t, Config{Admit: short, Limits: Limits{Idle: -1}}, func(s *Server) {
		s.giving.every = time.Hour
		s.Handle("/c/Open", Method{Open: func(*Stream) (Handler, error) { return ignores{}, nil }})
	})
	all = append(all, first)
	for range sessions - 1 {
		p := &peer{t: t, srv: first.srv, l: &fakeLink{room: -1, now: 1, poked: make(chan struct{}, 1)}, next: 1}
		p.s = p.srv.Attach(p.l)
		t.Cleanup(func() { p.s.Lost(nil) })
		all = append(all, p)
	}
	for _, p := range all {
		p.greet()
	}
	for range streams {
		first.open("/c/Open", false)
		passes(time.Second, all...)
	}
	return short, all
}

type ignores struct{}

func (ignores) Message(*Stream, []byte) error { return nil }
func (ignores) Closed(*Stream, error)         {}

func passes(d time.Duration, all ...*peer) {
	for _, p := range all {
		p.l.now = p.l.now.Add(d)
		p.l.heap.Advance(p.l.now)
	}
}

// looks has the server look around, and its sessions do what it asks for.
func looks(all []*peer) {
	all[0].srv.lookAround()
	for _, p := range all {
		p.poke()
	}
}

// TestGivesWayByAndBy: in Shed a twentieth of the sessions goes at each look, and
// no stream; in Critical a twentieth of the streams too, those that have been
// idle for longer before those that have been for less, down to those that have
// not been for 10 s; in Normal nobody.
func TestGivesWayByAndBy(t *testing.T) {
	const sessions, streams = 61, 200
	short, all := throng(t, sessions, streams)
	srv, first := all[0].srv, all[0]
	check := func(what string, dismissed, sentAway uint64) {
		t.Helper()
		if s := srv.Stats(); s.Dismissed != dismissed || s.SentAway != sentAway {
			t.Fatalf("%s: %d sessions and %d streams have gone, want %d and %d", what, s.Dismissed, s.SentAway, dismissed, sentAway)
		}
	}
	looks(all)
	check("normal", 0, 0)
	short.verdict.State = bounds.Shed
	looks(all)
	check("shed", sessions/20, 0)
	looks(all)
	check("shed, and again", 2*(sessions/20), 0)

	short.verdict.State = bounds.Critical
	gone, idle := uint64(0), uint64(2*(sessions/20))
	for range 80 {
		looks(all)
		idle = min(idle+uint64(sessions/20), sessions-1)
		before := gone
		if gone = srv.Stats().SentAway; gone-before > max((streams-before)/20, 1) {
			t.Fatalf("%d streams of %d have gone at once", gone-before, streams-before)
		}
		// One opened each second; lengths are known to a power of two, and two of
		// these go together when there are few in one.
		least, most := streams, 0
		for n := 1; n <= streams; n++ {
			if idle := streams - n; first.s.core.Find(uint32(2*n-1)) == nil {
				least = min(least, idle)
			} else {
				most = max(most, idle)
			}
		}
		if most > 4*least+4 {
			t.Fatalf("one that was idle for %d s has gone, and one for %d s is there yet", least, most)
		}
	}
	check("critical", sessions-1, gone)
	if gone == 0 || first.s.Streams() == 0 {
		t.Errorf("%d streams have gone, %d are left", gone, first.s.Streams())
	}
	for range 2 * streams {
		looks(all)
	}
	if n := first.s.Streams(); n < 8 || n > 11 {
		t.Errorf("%d streams are left, want those of the last 10 s", n)
	}
	short.verdict.State = bounds.Normal
	gone = srv.Stats().SentAway
	passes(time.Minute, all...)
	looks(all)
	looks(all)
	check("normal again", sessions-1, gone)
}

// TestLooksAreForSessions: without any the server has no timer.
func TestLooksAreForSessions(t *testing.T) {
	srv := NewServer(Config{Admit: new(shortOf)})
	looking := func() bool {
		srv.mu.Lock()
		defer srv.mu.Unlock()
		return srv.giving.look != nil
	}
	for range 3 {
		l := &fakeLink{room: -1, now: 1}
		s := srv.Attach(l)
		if !looking() {
			t.Error("nobody looks around")
		}
		s.Lost(nil)
		if looking() {
			t.Error("without sessions it still looks around")
		}
	}
}

// TestCancelGivesBackAtOnce what a stream has: its place, its bytes, its context.
func TestCancelGivesBackAtOnce(t *testing.T) {
	var st *Stream
	closed := 0
	p := newPeer(t, Config{MaxStreams: 1, Admit: new(shortOf)}, func(s *Server) {
		s.giving.every = time.Hour
		s.Handle("/c/Open", Method{Open: func(x *Stream) (Handler, error) {
			st = x
			return closes{&closed}, nil
		}})
	})
	p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 0})
	for i := range 5 {
		id := p.open("/c/Open", false)
		p.data(id, message("whole")[:7], false)
		if err := st.Emit(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		ctx := st.Context()
		if held := p.srv.Stats().Held; held < 1000 || p.s.core.Active() != 1 || ctx.Err() != nil {
			t.Fatalf("it holds %d bytes, %d are active", held, p.s.core.Active())
		}
		p.feed(h2.AppendRSTStream(nil, id, h2.Cancel))
		if s := p.srv.Stats(); s.Held != 0 || s.Streams != 0 || p.s.core.Active() != 0 || ctx.Err() == nil || closed != i+1 {
			t.Fatalf("afterwards it holds %d bytes, %d streams are open, %d active; context: %v", s.Held, s.Streams, p.s.core.Active(), ctx.Err())
		}
	}
}

type closes struct{ n *int }

func (closes) Message(*Stream, []byte) error { return nil }
func (c closes) Closed(*Stream, error)       { *c.n++ }

// TestAdmitsByOtherErrors: an Admission need not be bounds.
func TestAdmitsByOtherErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("not today"), "14 not today"},
		{&Status{Code: ResourceExhausted, Message: "full"}, "8 full"},
		{ErrFull, "8 stream: the send queue is full"},
	} {
		got := ""
		trace := &Trace{Refused: func(_ *Session, _ string, why Reason, s *Status) { got = fmt.Sprintln(why, uint32(s.Code), s.Message) }}
		p := newPeer(t, Config{Admit: fixed{c.err}, Trace: trace}, func(s *Server) {
			s.giving.every = time.Hour
			s.Handle("/c/Open", Method{Open: func(*Stream) (Handler, error) { return ignores{}, nil }})
		})
		p.greet()
		p.open("/c/Open", false)
		if got != "admission "+c.want+"\n" {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

// fixed is an Admission that always answers the same.
type fixed struct{ err error }

func (f fixed) Admit() error            { return f.err }
func (f fixed) Verdict() bounds.Verdict { return bounds.Verdict{} }

// TestStreamIsSmall: servers have a million.
func TestStreamIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Stream{}); n > 192 {
		t.Errorf("a Stream has %d bytes", n)
	}
}

// TestSentJustBefore: what has been sent that a stream's loop does not know of yet
// leaves before the stream ends for its age; and one that is to end for a
// shortage, or for being idle, goes on.
func TestSentJustBefore(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits Limits
		end    func(p *peer)
		ended  bool
	}{
		{"shortage", Limits{Idle: time.Minute}, func(p *peer) { looks([]*peer{p}) }, false},
		{"idle", Limits{Idle: time.Minute}, func(p *peer) { passes(15*time.Second, p) }, false},
		{"age", Limits{Age: time.Minute}, func(p *peer) { passes(20*time.Second, p) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			short, all := throng(t, 1, 0)
			p := all[0]
			var st *Stream
			p.srv.Handle("/c/One", Method{Limits: c.limits, Open: func(x *Stream) (Handler, error) {
				st = x
				return ignores{}, nil
			}})
			p.open("/c/One", false)
			passes(time.Second, p)
			for range 50 {
				passes(time.Second, p)
			}
			short.verdict = bounds.Verdict{State: bounds.Critical}
			p.srv.giving.census[5].Store(1)
			if err := st.Send([]byte("news")); err != nil {
				t.Fatal(err)
			}
			c.end(p)
			if g := newGathered().from(p); string(g.data[1]) != string(message("news")) || g.ended[1] != c.ended {
				t.Errorf("sent %q, ended: %v", g.data[1], g.ended[1])
			}
		})
	}
}
