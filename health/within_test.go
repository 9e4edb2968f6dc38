package health_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/health"
	"github.com/weir-go/weir/internal/await"
)

// watch notes what two watchers see, of which the second does something as well.
func watch(t *testing.T, h *health.Health, do func(health.State)) func() string {
	t.Helper()
	var heard [2][]string
	for i := range heard {
		_, err := h.Watch(func() {
			s := h.Status().State
			heard[i] = append(heard[i], s.String())
			if i == 1 {
				do(s)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return func() string {
		// What is seen twice in a row is seen for another's sake.
		for i := range heard {
			for j := len(heard[i]) - 1; j > 0; j-- {
				if heard[i][j] == heard[i][j-1] {
					heard[i] = append(heard[i][:j], heard[i][j+1:]...)
				}
			}
		}
		return strings.Join(heard[0], " ") + "; " + strings.Join(heard[1], " ")
	}
}

// ends runs f, which must come to an end.
func ends(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(await.Patience):
		t.Fatal("it hangs")
	}
}

// TestFromWithin: a watcher may call what it likes. All see the last state, and none
// sees one again that has passed.
func TestFromWithin(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(h *health.Health, s health.State)
		want []string // the first watcher may be called before the second, or after it
	}{
		{"nothing", func(*health.Health, health.State) {}, []string{"serving; serving"}},
		{"what is so", func(h *health.Health, _ health.State) { h.Serve() }, []string{"serving; serving"}},
		{"drain", func(h *health.Health, s health.State) {
			h.Drain("asked to")
			if got := h.Status().State; got != health.Draining {
				t.Errorf("%v when Drain has returned", got)
			}
		}, []string{"serving draining; serving draining", "draining; serving draining"}},
		{"leave, and drain", func(h *health.Health, s health.State) { h.Leave(); h.Drain("no") },
			[]string{"serving left; serving left", "left; serving left"}},
		{"watch and stop", func(h *health.Health, s health.State) {
			stop, err := h.Watch(func() { t.Error("called after stop") })
			if err != nil {
				t.Error(err)
			}
			h.Drain("asked to")
			stop()
		}, []string{"serving draining; serving draining", "draining; serving draining"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := health.New(health.Config{})
			heard := watch(t, h, func(s health.State) {
				if s == health.Serving {
					c.do(h, s)
				}
			})
			ends(t, h.Serve)
			got := heard()
			for _, want := range c.want {
				if got == want {
					return
				}
			}
			t.Errorf("seen: %s, want %s", got, strings.Join(c.want, ", or "))
		})
	}
}

// TestStopFromWithin: who is stopped by another watcher is not called any more.
func TestStopFromWithin(t *testing.T) {
	h := health.New(health.Config{})
	var called atomic.Int64
	var stops [2]func()
	for i := range stops {
		stop, err := h.Watch(func() {
			called.Add(1)
			stops[1-i]()
		})
		if err != nil {
			t.Fatal(err)
		}
		stops[i] = stop
	}
	ends(t, h.Serve)
	if n := called.Load(); n != 1 {
		t.Errorf("%d of two watchers that stop each other were called", n)
	}
}

// TestPanicFromWithin: a watcher that panics, which its caller may catch, leaves the
// others to be told of what comes next.
func TestPanicFromWithin(t *testing.T) {
	h := health.New(health.Config{})
	heard := watch(t, h, func(s health.State) {
		if s == health.Serving {
			panic("oh")
		}
	})
	ends(t, func() {
		defer func() { recover() }()
		h.Serve()
	})
	ends(t, func() { h.Drain("asked to") })
	if got := heard(); !strings.HasSuffix(got, "draining; serving draining") {
		t.Errorf("seen: %s", got)
	}
}

// TestTwoTell: who changes something while watchers are told does not wait for
// them, and they are told of it.
func TestTwoTell(t *testing.T) {
	h := health.New(health.Config{})
	told, on := make(chan struct{}), make(chan struct{})
	var last atomic.Value
	if _, err := h.Watch(func() {
		last.Store(h.Status().State)
		told <- struct{}{}
		<-on
	}); err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { h.Serve(); close(served) }()
	<-told
	ends(t, h.Leave)
	on <- struct{}{}
	<-told
	if s := last.Load(); s != health.Left {
		t.Errorf("told when it was %v", s)
	}
	on <- struct{}{}
	<-served
}

// TestStats counts watchers, those refused, and what was seen of each state.
func TestStats(t *testing.T) {
	var v bounds.Verdict
	h := health.New(health.Config{Watchers: 1, Look: time.Hour, Verdict: func() bounds.Verdict { return v }})
	h.Serve()
	for range 2 {
		for _, s := range []bounds.State{bounds.Shed, bounds.Critical, bounds.Hard, bounds.Normal} {
			v.State = s
			h.Status()
		}
	}
	stop, err := h.Watch(func() {})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := h.Watch(func() {}); err != health.ErrWatchers {
			t.Error(err)
		}
	}
	if got, want := fmt.Sprint(h.Stats()), "{1 3 [0 3 2 2 0 0]}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	stop()
	h.Drain("asked to")
	h.Leave()
	if got, want := fmt.Sprint(h.Stats()), "{0 3 [0 3 2 2 1 0]}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestAllAtOnce: whatever comes at once, each watcher is called after the last
// change.
func TestAllAtOnce(t *testing.T) {
	for range 50 {
		h := health.New(health.Config{})
		var last [2]atomic.Uint32
		for i := range last {
			if _, err := h.Watch(func() { last[i].Store(uint32(h.Status().State)) }); err != nil {
				t.Fatal(err)
			}
		}
		var all sync.WaitGroup
		for _, f := range []func(){h.Serve, h.Leave, func() { h.Drain("asked to") }, h.Serve} {
			all.Go(f)
		}
		all.Wait()
		for i := range last {
			if s := health.State(last[i].Load()); s != h.Status().State {
				t.Fatalf("the last that a watcher has seen is %v, it is %v", s, h.Status().State)
			}
		}
	}
}
