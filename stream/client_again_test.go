package stream

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	until "github.com/weir-go/weir/internal/await"
)

// sendBack refuses a call and says when it is wanted back.
func (f *far) sendBack(id uint32, code, when string) {
	f.headers(id, true, ":status", "200", "content-type", "application/grpc", "grpc-status", code, pushbackKey, when)
}

// A call that is to come back does, as it was, and says how often it has been
// there before; when that is as often as allowed it ends with what the server says.
func TestComesBack(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	refusals := 2
	p := newCouple(t, Config{}, ClientConfig{Retry: Retry{Times: 2}}, map[string]Method{"/s/Go": {Go: func(st *Stream) error {
		m, err := st.Recv()
		if err != nil {
			return err
		}
		before, _ := st.Header().Value(attemptsKey)
		mu.Lock()
		seen = append(seen, string(m)+before)
		no := len(seen) <= refusals
		mu.Unlock()
		if no {
			st.SetTrailer(Metadata{{pushbackKey, "1"}})
			return &Status{Code: Unavailable, Message: "later"}
		}
		return st.SendWait(bufferOf("yes"))
	}}})
	own := Metadata{{"k", "v"}}
	got, err := invoke(soon(t), p.cli, "/s/Go", "m", CallOptions{Header: own})
	if err != nil || got != "yes" || !slices.Equal(seen, []string{"m", "m1", "m2"}) {
		t.Errorf("%q, %v; the server has seen %q", got, err, seen)
	}
	if s := p.cli.Stats(); s.Pushbacks != 2 || s.Retries != 2 || s.Resting != 0 || s.Calls != 0 {
		t.Errorf("%+v", s)
	}
	mu.Lock()
	refusals = 1000
	mu.Unlock()
	st, err := p.cli.Call(soon(t), "/s/Go", CallOptions{Retries: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.SendWait(bufferOf("x")); err != nil {
		t.Fatal(err)
	}
	_, err = st.Recv()
	if s := StatusOf(err); s.Code != Unavailable || s.Message != "later" {
		t.Error(err)
	}
	if at, _ := st.Trailer().Value(pushbackKey); at != "1" || !slices.Equal(seen[3:], []string{"x", "x1"}) {
		t.Errorf("pushback %q, the server has seen %q", at, seen[3:])
	}
}

// What is not to come back, or may not, ends with what the server says.
func TestStaysAway(t *testing.T) {
	both := ClientConfig{Retry: Retry{Times: 5}}
	for _, c := range []struct {
		name, code, when string
		set              ClientConfig
		o                CallOptions
		end              string
	}{
		{"not told to", "14", "0", ClientConfig{}, CallOptions{}, "UNAVAILABLE"},
		{"not this one", "14", "0", both, CallOptions{Retries: -1}, "UNAVAILABLE"},
		{"never", "14", "-1", both, CallOptions{}, "UNAVAILABLE"},
		{"unreadable", "14", "soon", both, CallOptions{}, "UNAVAILABLE"},
		{"too large to be read", "14", "99999999999999", both, CallOptions{}, "UNAVAILABLE"},
		{"empty", "14", "", both, CallOptions{}, "UNAVAILABLE"},
		{"too late", "8", "60001", both, CallOptions{}, "RESOURCE_EXHAUSTED"},
		{"too late for the call", "14", "50000", both, CallOptions{Timeout: 40 * time.Second}, "UNAVAILABLE"},
		{"another code", "5", "0", both, CallOptions{}, "NOT_FOUND"},
		{"OK", "0", "0", both, CallOptions{}, "OK"},
		{"no budget", "14", "0", ClientConfig{Retry: Retry{Times: 5, Ratio: -1}}, CallOptions{}, "UNAVAILABLE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newStage(t, c.set)
			_, h := g.start("/a/B", c.o)
			f := g.connect()
			f.sendBack(1, c.code, c.when)
			if h.ended() != c.end {
				t.Errorf("it ends with %q, want %q", h.ended(), c.end)
			}
			f.hears("open 1 /a/B", "reset 1 NO_ERROR")
			if s := g.c.Stats(); s.Retries != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
	g := newStage(t, both)
	_, h := g.start("/a/B", CallOptions{})
	f := g.connect()
	f.answer(1, "")
	f.headers(1, true, "grpc-status", "14", pushbackKey, "0")
	if h.ended() != "UNAVAILABLE" || g.c.Stats().Retries != 0 {
		t.Errorf("with a header it ends with %q", h.ended())
	}
}

// A call that was not looked at first is kept as it was, to come back later.
func TestRefusedThenComesBack(t *testing.T) {
	g := newStage(t, ClientConfig{MaxConns: 1, Retry: Retry{Times: 1}})
	st, h := g.start("/a/B", CallOptions{})
	f := g.connect()
	st.Send([]byte("m"))
	g.settle()
	f.hears("open 1 /a/B", `data 1 "\x01m"`)
	f.refuse(1)
	f.hears("open 3 /a/B", `data 3 "\x01m"`)
	f.comeAtOnce(3, h)
	f.hears("reset 3 NO_ERROR", "open 5 /a/B", `data 5 "\x01m"`)
	f.refuse(5)
	if h.ended() != "UNAVAILABLE" {
		t.Errorf("not looked at twice it ends with %q", h.ended())
	}
}

// While it rests a call can be cancelled, closed, and is one of those that wait.
func TestRests(t *testing.T) {
	set := ClientConfig{MaxConns: 1, MaxWaiting: 2, Retry: Retry{Times: 5, Most: 2 * time.Hour}}
	g := newStage(t, set)
	one, h1 := g.start("/a/One", CallOptions{})
	f := g.connect()
	two, _ := g.start("/a/Two", CallOptions{})
	_, h3 := g.start("/a/Three", CallOptions{})
	one.Send([]byte("before"))
	g.settle()
	f.heard()
	f.sendBack(1, "14", "3600000")
	f.sendBack(3, "14", "3600000")
	f.sendBack(5, "14", "3600000") // there is no room for a third
	if s := g.c.Stats(); s.Resting != 2 || s.Waiting != 0 || h3.ended() != "UNAVAILABLE" {
		t.Fatalf("%+v, %q", s, h3.ended())
	}
	f.hears("reset 1 NO_ERROR", "reset 3 NO_ERROR", "reset 5 NO_ERROR")
	one.Send([]byte("meanwhile"))
	one.CloseSend()
	g.settle()
	g.c.rouse(two.method.out)
	g.c.rouse(two.method.out) // it is up already
	g.settle()
	f.hears("open 7 /a/Two")
	g.c.rouse(one.method.out)
	g.settle()
	f.hears("open 9 /a/One", `data 9 "\x06before\x00\x00\x00\x00\tmeanwhile" end`)
	f.sendBack(9, "14", "3600000")
	one.Cancel()
	g.settle()
	if s := g.c.Stats(); h1.ended() != "CANCELED" || s.Resting != 0 || s.Pushbacks != 4 {
		t.Errorf("%q, %+v", h1.ended(), s)
	}
	f.sendBack(7, "14", "3600000") // Close finds it at rest
}

// The place of a call that rests is another's, at once.
func TestRestLeavesItsPlace(t *testing.T) {
	g := newStage(t, ClientConfig{MaxConns: 1, Retry: Retry{Times: 1, Most: 2 * time.Hour}})
	g.start("/a/One", CallOptions{})
	f := g.connect(limit(1))
	_, h := g.start("/a/Two", CallOptions{})
	f.hears("open 1 /a/One")
	f.sendBack(1, "14", "3600000")
	f.hears("reset 1 NO_ERROR", "open 3 /a/Two")
	if f.finish(3, "0"); h.ended() != "OK" {
		t.Errorf("%q, %+v", h.ended(), g.c.Stats())
	}
}

// A context ends the rest of a call, too.
func TestRestEndsWithContext(t *testing.T) {
	p := newCouple(t, Config{}, ClientConfig{Retry: Retry{Times: 5, Most: 2 * time.Hour}}, map[string]Method{"/s/Go": {Go: func(st *Stream) error {
		st.SetTrailer(Metadata{{pushbackKey, "3600000"}})
		return &Status{Code: Unavailable}
	}}})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	st, err := p.cli.Call(ctx, "/s/Go", CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	until.Until(t, "a rest", func() bool { return p.cli.Stats().Resting > 0 })
	cancel()
	if _, err := st.Recv(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A server that refuses everything, in whatever way, has the calls and a part of
// them again, and what the budget had saved. One that has come back is served as
// if nothing had been.
func TestNoRetryStorm(t *testing.T) {
	const calls, ratio, burst = 3000, 0.1, 20
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	g := newStage(t, ClientConfig{MaxConns: 1, Retry: Retry{Ratio: ratio, Burst: burst, Times: 3}})
	_, h := g.start("/a/First", CallOptions{})
	f := g.connect()
	f.heard()
	f.finish(1, "0")
	f.heard()
	next, opened, failed := uint32(3), 0, 0
	for range calls {
		_, h = g.start("/a/B", CallOptions{})
		for h.ended() == "" {
			if got := f.heard(); !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "open ") }) {
				t.Fatalf("nothing is opened: %q", got)
			}
			opened++
			if r.IntN(2) == 0 {
				f.refuse(next)
			} else {
				f.comeAtOnce(next, h)
			}
			next += 2
		}
		f.heard()
		if h.ended() == "UNAVAILABLE" {
			failed++
		}
	}
	s := g.c.Stats()
	if most := calls + calls*ratio + burst; opened > int(most) || opened < int(most)-1 || failed != calls {
		t.Errorf("%d of %d calls failed, %d streams, want %v", failed, calls, opened, most)
	}
	if int(s.Retries) != opened-calls || s.NoBudget == 0 || s.Budget != 0 {
		t.Errorf("%+v", s)
	}
	for range int(burst/ratio) + 1 {
		_, h = g.start("/a/B", CallOptions{})
		f.finish(next, "0")
		f.heard()
		next += 2
	}
	if s := g.c.Stats(); s.Budget != burst || h.ended() != "OK" {
		t.Errorf("%d to spend, want %d", s.Budget, burst)
	}
}

// comeAtOnce refuses a call that may come back at once, and waits until it has, or
// ended.
func (f *far) comeAtOnce(id uint32, h *teller) {
	f.sendBack(id, "14", "0")
	until.Until(f.g.t, "the call is back", func() bool {
		f.g.settle()
		return f.s.core.Len() > 0 || h.ended() != ""
	})
}

func TestPushback(t *testing.T) {
	for s, want := range map[string]time.Duration{"0": 0, "1500": 1500 * time.Millisecond, "2147483647": 2147483647 * time.Millisecond} {
		if d, ok := pushback(s); !ok || d != want {
			t.Errorf("%q is %v, %v", s, d, ok)
		}
	}
	for _, s := range []string{"", "-1", "1.5", "2147483648", " 1", "0x10", "1s"} {
		if d, ok := pushback(s); ok {
			t.Errorf("%q is %v", s, d)
		}
	}
}
