package sched_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/sched/schedtest"
)

// What was a Once below one parent is used below another: it ends with that, and
// with no other.
func TestOnceIsUsedAgainBelowAnotherParent(t *testing.T) {
	k := newKit(t, sched.Config{})
	in := func(ctx context.Context) sched.Once {
		t.Helper()
		o, err := k.In(ctx, time.Hour, nothing)
		k.ok(err)
		return o
	}
	endless := context.Background()
	parent, end := context.WithCancel(endless)
	defer end()
	in(endless).Cancel()
	b := in(parent) // in what that was
	c := in(endless)
	in(parent).Cancel()
	d := in(endless) // likewise
	end()
	k.until(func(st sched.Stats) bool { return st.Tasks <= 2 })
	if b.Cancel() || !c.Cancel() || !d.Cancel() {
		t.Error("ended with another's parent, or not with its own")
	}
	in(endless)
	if _, err := k.In(parent, time.Hour, nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("below a parent that has ended: %v", err)
	}
	ended, now := context.WithCancel(endless)
	now()
	k.ok(k.Close(ended))
	if n := k.Stats().Tasks; n != 0 {
		t.Errorf("%d tasks after Close", n)
	}
}

// A Once that is cancelled while its parent's end is dealt with may be used for
// another at once, which has nothing to do with that parent.
func TestOnceIsUsedAgainWhileItsParentEnds(t *testing.T) {
	var all, others []sched.Once
	var s *sched.Scheduler
	in := func(ctx context.Context, d time.Duration) sched.Once {
		o, err := s.In(ctx, d, nothing)
		if err != nil {
			t.Error(err)
		}
		return o
	}
	clock := schedtest.NewClock(dawn)
	s = scheduler(t, sched.Config{Clock: clock, Apart: -1, Line: func(sched.Line) { // where the lock is given back on the way
		for range 100 {
			others = append(others, in(context.Background(), time.Hour))
		}
		for _, o := range all[1500:1550] {
			if !o.Cancel() {
				t.Error("dealt with already")
			}
			others = append(others, in(context.Background(), time.Hour))
		}
	}})
	s.Pause()
	parent, end := context.WithCancel(context.Background())
	for i := range 2000 {
		all = append(all, in(parent, time.Second+time.Duration(min(i, 1))*time.Hour))
	}
	clock.Advance(time.Second) // the first one waits, and has a line when its parent ends
	k := &kit{Scheduler: s, t: t}
	k.until(func(st sched.Stats) bool { return st.Waiting == 1 })
	end()
	k.until(func(st sched.Stats) bool { return st.Tasks <= 150 })
	k.settle()
	for i, o := range others {
		if !o.Cancel() {
			t.Fatalf("%d of %d ended with a parent that is not its own", i, len(others))
		}
	}
	if len(others) != 150 {
		t.Errorf("%d others", len(others))
	}
}

// However a Once ends, and however often, what is kept for the next one is bounded.
func TestOncesThatAreOverKeepNoPlaces(t *testing.T) {
	const most = 2*1024 + 200 // as many as are kept, and gaps
	check := func(t *testing.T, k *kit, tasks int) {
		t.Helper()
		if n := sched.Places(k.Scheduler); n > most || k.Stats().Tasks != tasks {
			t.Errorf("%d places, %d tasks, want %d", n, k.Stats().Tasks, tasks)
		}
	}
	in := func(k *kit, ctx context.Context, d time.Duration) sched.Once {
		o, err := k.In(ctx, d, nothing)
		k.ok(err)
		return o
	}
	t.Run("cancelled at once, below one parent and another", func(t *testing.T) {
		k := newKit(t, sched.Config{})
		for range 3000 {
			in(k, context.Background(), time.Hour).Cancel()
			in(k, t.Context(), time.Hour).Cancel()
		}
		check(t, k, 0)
	})
	t.Run("cancelled", func(t *testing.T) {
		k := newKit(t, sched.Config{})
		var all []sched.Once
		for range 10_000 {
			all = append(all, in(k, context.Background(), time.Hour))
		}
		for _, o := range all {
			o.Cancel()
		}
		check(t, k, 0)
	})
	t.Run("ran", func(t *testing.T) {
		k := newKit(t, sched.Config{})
		for range 10_000 {
			in(k, context.Background(), time.Second)
		}
		k.pass(time.Second)
		check(t, k, 0)
	})
	t.Run("dropped", func(t *testing.T) {
		k := newKit(t, sched.Config{Waiting: 1})
		k.Pause()
		for range 10_000 {
			in(k, context.Background(), time.Second)
		}
		k.clock.Advance(time.Second)
		k.until(func(st sched.Stats) bool { return st.Instants(sched.Dropped) == 9_999 })
		check(t, k, 1)
	})
	t.Run("cancelled while that is decided", func(t *testing.T) {
		k := newKit(t, sched.Config{})
		var all, others []sched.Once
		m := &meddles{Trigger: sched.Every{Period: time.Second}}
		k.add(sched.Job{Name: "a", Trigger: m, Do: nothing})
		m.how = func() {
			for _, o := range all {
				o.Cancel()
			}
			all = nil
			others = append(others, in(k, context.Background(), time.Hour)) // not in what has a decision to come
		}
		for range 20 {
			for range 400 {
				all = append(all, in(k, context.Background(), time.Second))
			}
			k.pass(time.Second)
		}
		for _, l := range k.lines {
			if l.Outcome != sched.Ran && l.Reason != sched.Stopped {
				t.Errorf("%+v", l)
			}
		}
		if n := len(k.lines); n < 20*400 {
			t.Errorf("%d lines: who was cancelled had not been decided on", n)
		}
		check(t, k, 1+len(others))
	})
	t.Run("refused", func(t *testing.T) {
		k := newKit(t, sched.Config{})
		ended, now := context.WithCancel(context.Background())
		now()
		for range 3000 {
			in(k, context.Background(), time.Hour).Cancel()
			_, err := k.In(ended, time.Hour, nothing)
			k.fails(err, context.Canceled)
		}
		check(t, k, 0)
		k.ok(k.Close(ended))
		check(t, k, 0)
	})
}
