package health_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/health"
	"github.com/weir-go/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestStates(t *testing.T) {
	var v bounds.Verdict
	h := health.New(health.Config{Verdict: func() bounds.Verdict { return v }})
	short := func(s bounds.State) func() {
		return func() { v = bounds.Verdict{State: s, Resource: bounds.Memory, Load: 0.876, Back: time.Second} }
	}
	for _, step := range []struct {
		do    func()
		want  health.State
		ready bool
		why   string
		again time.Duration
	}{
		{func() {}, health.Starting, false, "not all has been started", 5 * time.Second},
		{short(bounds.Hard), health.Starting, false, "not all has been started", 5 * time.Second},
		{short(bounds.Normal), health.Starting, false, "not all has been started", 5 * time.Second},
		{h.Serve, health.Serving, true, "", 0},
		{short(bounds.Shed), health.Shedding, true, "shed: memory at 88 %", time.Second},
		{short(bounds.Critical), health.Full, false, "critical: memory at 88 %", time.Second},
		{short(bounds.Hard), health.Full, false, "hard: memory at 88 %", time.Second},
		{short(bounds.Normal), health.Serving, true, "", 0},
		{func() { h.Drain("terminated") }, health.Draining, false, "terminated", 5 * time.Second},
		{short(bounds.Shed), health.Draining, false, "terminated", 5 * time.Second},
		{h.Leave, health.Draining, false, "terminated", 5 * time.Second},
		{h.Serve, health.Draining, false, "terminated", 5 * time.Second},
	} {
		step.do()
		if got, want := h.Status(), (health.Status{State: step.want, Reason: step.why, RetryAfter: step.again}); got != want || got.State.Ready() != step.ready {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
	h = health.New(health.Config{})
	h.Serve()
	h.Leave()
	h.Drain("terminated")
	if s := h.Status(); s.State != health.Left || !s.State.Ready() {
		t.Errorf("%+v", s)
	}
}

func TestAlive(t *testing.T) {
	broken := errors.New("broken")
	if err := health.New(health.Config{}).Alive(); err != nil {
		t.Error(err)
	}
	if err := health.New(health.Config{Alive: func() error { return broken }}).Alive(); err != broken {
		t.Error(err)
	}
}

// TestWatch: a watcher hears of what is said at once, of what is measured at the
// next look, and of nothing that has not changed. Nobody looks for nobody.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var state atomic.Int64
		var looks int
		h := health.New(health.Config{Watchers: 1, Verdict: func() bounds.Verdict {
			looks++
			return bounds.Verdict{State: bounds.State(state.Load())}
		}})
		var heard []health.State
		stop, err := h.Watch(func() { heard = append(heard, h.Status().State) })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Watch(func() {}); err != health.ErrWatchers {
			t.Errorf("one too many: %v", err)
		}
		pass := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		h.Serve()
		pass(time.Second)
		state.Store(int64(bounds.Shed))
		pass(time.Second)
		state.Store(int64(bounds.Normal))
		pass(time.Second)
		h.Drain("terminated")
		pass(time.Second)
		want := []health.State{health.Serving, health.Shedding, health.Serving, health.Draining}
		if len(heard) != len(want) {
			t.Fatalf("heard %v, want %v", heard, want)
		}
		for i, s := range want {
			if heard[i] != s {
				t.Fatalf("heard %v, want %v", heard, want)
			}
		}
		stop()
		stop()
		synctest.Wait()
		looks = 0
		pass(time.Minute)
		if looks != 0 {
			t.Errorf("%d looks for nobody", looks)
		}
		stop, err = h.Watch(func() {})
		if err != nil {
			t.Fatal(err)
		}
		stop()
	})
}
