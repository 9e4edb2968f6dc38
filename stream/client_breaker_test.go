package stream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/breaker"
	"github.com/weir-go/weir/conn"
	until "github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/h2"
)

// gate is a Breaker that does as it is told, and notes what it is told.
type gate struct {
	mu    sync.Mutex
	shut  map[string]error
	asked []string
	told  []error
}

func (g *gate) Allow(target string) (func(error), error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, target)
	if err := g.shut[target]; err != nil {
		return nil, err
	}
	return func(err error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.told = append(g.told, err)
	}, nil
}

func (g *gate) outcomes() []error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.told)
}

// open is the error of a breaker that lets nobody through for so long.
func open(target string, d time.Duration) error {
	return &breaker.OpenError{Destination: target, RetryAfter: d}
}

// A target whose breaker is open is passed over.
func TestBarredTargetIsPassedOver(t *testing.T) {
	b := &gate{shut: map[string]error{"/1": open("/1", time.Hour)}}
	g := newStage(t, ClientConfig{Breaker: b, Targets: []conn.Addr{conn.Unix("/1"), conn.Unix("/2")}})
	_, h := g.start("/a/B", CallOptions{})
	if a := g.dial(); a == nil || a.target.Path != "/2" {
		t.Fatalf("dials %v", a)
	}
	g.connect().finish(1, "0")
	if h.ended() != "OK" {
		t.Error(h.ended())
	}
	if s := g.c.Stats(); s.Dials != 1 || s.Barred != 1 || s.DialErrors != 0 {
		t.Errorf("%+v", s)
	}
}

// When all are open calls fail at once, with the reason, and those that wait for
// ready wait; nobody is dialed. The pause is the shortest that a breaker asks for,
// and is none of the backoff's rounds.
func TestAllTargetsBarred(t *testing.T) {
	b := &gate{shut: map[string]error{"/1": open("/1", time.Hour), "/2": open("/2", 30*time.Minute)}}
	g := newStage(t, ClientConfig{
		Breaker: b, Targets: []conn.Addr{conn.Unix("/1"), conn.Unix("/2")}, Backoff: Backoff{Min: 1, Max: 2 * time.Hour},
	})
	_, hasty := g.start("/a/Hasty", CallOptions{})
	_, patient := g.start("/a/Patient", CallOptions{WaitForReady: true})
	if hasty.ended() != "UNAVAILABLE" || patient.ended() != "" || g.dial() != nil {
		t.Fatalf("%q and %q; dials %v", hasty.ended(), patient.ended(), g.dials)
	}
	_, err := g.c.Call(context.Background(), "/a/B", CallOptions{})
	var reason *breaker.OpenError
	if !errors.As(err, &reason) || reason.Destination != "/2" || !errors.Is(err, breaker.ErrOpen) || StatusOf(err).Code != Unavailable {
		t.Errorf("it fails with %v", err)
	}
	if s := StatusOf(fmt.Errorf("wrapped: %w", err)); !errors.Is(s, breaker.ErrOpen) {
		t.Errorf("%v has lost its reason", s)
	}
	if g.c.rounds != 0 || g.c.cooling == nil || !slices.Equal(b.asked, []string{"/1", "/2"}) {
		t.Errorf("%d rounds, asked for %q", g.c.rounds, b.asked)
	}
	b.shut = nil
	if !g.c.cooling.Stop() { // it lasts half an hour, not the nanosecond of the backoff
		t.Fatal("the pause is over")
	}
	g.c.warm()
	g.connect().hears("open 1 /a/Patient")
	if got := b.outcomes(); !slices.Equal(got, []error{nil}) {
		t.Errorf("told %v", got)
	}
	if s := g.c.Stats(); s.Dials != 1 || s.Barred != 2 {
		t.Errorf("%+v", s)
	}
}

// How long nobody is asked when all are open.
func TestBarredPause(t *testing.T) {
	set := Backoff{Min: 5, Max: 20 * time.Second}
	for _, c := range []struct {
		waits     []time.Duration
		low, high time.Duration
	}{
		{[]time.Duration{7 * time.Second}, 7 * time.Second, 7 * time.Second},
		{[]time.Duration{7 * time.Second, 3 * time.Second, 5 * time.Second}, 3 * time.Second, 3 * time.Second},
		{[]time.Duration{0, 3 * time.Second, 0}, 3 * time.Second, 3 * time.Second},
		{[]time.Duration{time.Minute}, set.Max, set.Max},
		{[]time.Duration{0, 0}, 1, set.Min},
	} {
		var b barred
		for _, d := range c.waits {
			b.add(open("x", d), true)
		}
		if got := b.pause(set); got < c.low || got > c.high || b.n != len(c.waits) {
			t.Errorf("%v: %v, %d barred", c.waits, got, b.n)
		}
		if b.add(syscall.ECONNREFUSED, false); b != (barred{}) {
			t.Errorf("%+v after a dial", b)
		}
	}
}

// What the breaker is told of a connection, which it is told once.
func TestBreakerIsTold(t *testing.T) {
	meet := func(g *stage, settings bool) *far {
		f := g.meet()
		if settings {
			f.feed(h2.AppendSettings(nil))
		}
		return f
	}
	for _, c := range []struct {
		name string
		do   func(g *stage)
		want error
	}{
		{"a call is open", func(g *stage) { meet(g, true).lose() }, nil},
		{"not to be had", func(g *stage) { g.dials[0].fail(syscall.ECONNREFUSED); g.dials = g.dials[1:] }, syscall.ECONNREFUSED},
		{"it never answers", func(g *stage) { meet(g, false).lose() }, errNotReady},
		{"goodbye at once", func(g *stage) {
			f := meet(g, false)
			f.feed(h2.AppendGoAway(h2.AppendSettings(nil), 0, h2.NoError, ""))
			f.lose()
		}, errUnused},
		{"no descriptors here", func(g *stage) {
			g.dials[0].fail(os.NewSyscallError("socket", syscall.EMFILE))
			g.dials = g.dials[1:]
		}, syscall.EMFILE},
		{"too many connections here", func(g *stage) { g.dials[0].fail(conn.ErrLimit); g.dials = g.dials[1:] }, context.Canceled},
		{"the runtime ends", func(g *stage) { g.dials[0].fail(conn.ErrClosed); g.dials = g.dials[1:] }, context.Canceled},
		{"bounds", func(g *stage) { g.dials[0].fail(&bounds.Refusal{}); g.dials = g.dials[1:] }, bounds.ErrRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &gate{}
			g := newStage(t, ClientConfig{Breaker: b, Backoff: Backoff{Min: time.Hour, Max: time.Hour}})
			g.start("/a/B", CallOptions{})
			if got := b.outcomes(); len(got) != 0 {
				t.Fatalf("told %v before it has ended", got)
			}
			c.do(g)
			got := b.outcomes()
			if len(got) != 1 || !errors.Is(got[0], c.want) {
				t.Errorf("told %v, want %v", got, c.want)
			}
		})
	}
}

// A caller that leaves ends no dial: the target is judged by what comes of it.
func TestBreakerIsNotToldOfCallers(t *testing.T) {
	b := &gate{}
	g := newStage(t, ClientConfig{Breaker: b})
	st, h := g.start("/a/B", CallOptions{})
	st.Cancel()
	g.settle()
	if h.ended() != "CANCELED" || len(b.outcomes()) != 0 {
		t.Fatalf("%q, told %v", h.ended(), b.told)
	}
	g.connect()
	if got := b.outcomes(); !slices.Equal(got, []error{nil}) {
		t.Errorf("told %v of a connection that is ready and that nobody wants", got)
	}
}

// Nobody listens; after some dials there are no more, whatever is called. When the
// listener is back the calls are, too.
func TestBreakerOfAListenerThatComesBack(t *testing.T) {
	p := newCouple(t, Config{}, ClientConfig{}, answers())
	addr := conn.Unix(filepath.Join(t.TempDir(), "s"))
	b := breaker.New(breaker.Config{Calls: 3, Open: 20 * time.Millisecond, Most: 20 * time.Millisecond})
	cli := NewClient(p.rt, ClientConfig{Targets: []conn.Addr{addr}, Breaker: b, Backoff: Backoff{Min: 1, Max: time.Hour}})
	defer cli.Close()
	opens := func() bool {
		_, err := invoke(soon(t), cli, "/c/Unary", "x", CallOptions{})
		if !errors.Is(err, &Status{Code: Unavailable}) {
			t.Fatal(err)
		}
		return errors.Is(err, breaker.ErrOpen)
	}
	until.Until(t, "an open breaker", opens)
	before := b.Stats()
	if s := cli.Stats(); before.Opened == 0 || s.Dials < 3 || s.Barred == 0 {
		t.Errorf("%+v, %+v", before, s)
	}
	if _, err := p.rt.Listen(addr, p.srv.Serve); err != nil {
		t.Fatal(err)
	}
	got, err := invoke(soon(t), cli, "/c/Unary", "x", CallOptions{WaitForReady: true})
	if err != nil || got != "re: x" {
		t.Errorf("%q, %v", got, err)
	}
}

// A process without descriptors has no breaker opened: when it has some, it calls.
// It is a process of its own, for it takes the descriptors from all that it does.
func TestBreakerWithoutDescriptors(t *testing.T) {
	const child = "WEIR_TEST_NO_DESCRIPTORS"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestBreakerWithoutDescriptors$", "-test.timeout=60s", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestBreakerWithoutDescriptors") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	b := breaker.New(breaker.Config{Calls: 2})
	p := newCouple(t, Config{}, ClientConfig{Breaker: b, Backoff: Backoff{Min: 1, Max: 1}}, answers())
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	until.Until(t, "ten dials in vain", func() bool {
		_, err := invoke(soon(t), p.cli, "/c/Unary", "x", CallOptions{})
		if !errors.Is(err, &Status{Code: Unavailable}) || !strings.Contains(err.Error(), "too many open files") {
			t.Fatal(err)
		}
		return p.cli.Stats().Dials >= 10
	})
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	until.Until(t, "a call", func() bool {
		_, err := invoke(soon(t), p.cli, "/c/Unary", "x", CallOptions{})
		return err == nil
	})
	if s := b.Stats(); s.Opened != 0 || s.Refused != 0 {
		t.Errorf("%+v", s)
	}
}
