package sched_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
)

func nothing(context.Context, sched.Fire) error { return nil }

func TestIntervalsAreOnTheGrid(t *testing.T) {
	k := newKit(t, sched.Config{})
	k.add(every("a", nothing))
	k.pass(2500 * time.Millisecond)
	k.pass(500 * time.Millisecond)
	k.tells("a", "1 ran, 2 ran, 3 ran")
}

func TestOneRefusesNamesTwice(t *testing.T) {
	k := newKit(t, sched.Config{})
	a := k.add(every("a", nothing))
	_, err := k.Add(t.Context(), every("a", nothing))
	k.fails(err, sched.ErrName)
	a.Cancel()
	k.add(every("a", nothing))
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	k := newKit(t, sched.Config{Resources: []sched.Resource{{Name: "db", N: 2}}})
	for what, j := range map[string]sched.Job{
		"no body":     {Trigger: sched.Every{Period: 1}},
		"no queue":    {Do: nothing, Queue: "none"},
		"no resource": {Do: nothing, Needs: []sched.Need{{Resource: "none"}}},
		"too much":    {Do: nothing, Needs: []sched.Need{{Resource: "db", N: 3}}},
		"twice":       {Do: nothing, Needs: []sched.Need{{Resource: "db"}, {Resource: "db"}}},
		"no name":     {Do: nothing, Durable: true},
		"no state":    {Do: nothing, Name: "a", Durable: true},
		"no guard":    {Do: nothing, Name: "a", Guarded: true},
		"priority":    {Do: nothing, Priority: 9},
		"negative":    {Do: nothing, Timeout: -1},
		"factor":      {Do: nothing, Retry: sched.Retry{Factor: 0.5}},
	} {
		if _, err := k.Add(t.Context(), j); !errors.Is(err, sched.ErrConfig) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := k.Add(t.Context(), sched.Job{Do: nothing, Trigger: sched.Every{}})
	k.fails(err, sched.ErrTrigger)
	_, err = k.Add(t.Context(), sched.Job{Do: nothing, Trigger: sched.At(dawn.Add(-1))})
	k.fails(err, sched.ErrTrigger)
}

// S1: the end of a parent reaches all that is below it, at once.
func TestParentEndsTenThousand(t *testing.T) {
	s := scheduler(t, sched.Config{})
	parent, end := context.WithCancel(t.Context())
	var ran atomic.Int64
	before := runtime.NumGoroutine()
	for range 10_000 {
		if _, err := s.In(parent, time.Hour, func(context.Context, sched.Fire) error { ran.Add(1); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n := runtime.NumGoroutine() - before; n > 10 {
		t.Errorf("%d goroutines for 10,000 tasks", n)
	}
	h := newHeld()
	if _, err := s.Add(parent, sched.Job{Trigger: sched.Every{Period: time.Millisecond}, Do: h.do}); err != nil {
		t.Fatal(err)
	}
	<-h.began
	end()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for s.Stats().Tasks > 0 || s.Stats().Running > 0 {
			runtime.Gosched()
		}
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatalf("%+v", s.Stats())
	}
	if _, err := s.In(parent, 0, nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("below a parent that has ended: %v", err)
	}
	st := s.Stats()
	if ran.Load() != 0 || st.Instants(sched.Cancelled) == 0 {
		t.Errorf("%d ran, %d cancelled", ran.Load(), st.Instants(sched.Cancelled))
	}
}

func TestContextOfARunIsTheParentsOrTheTasks(t *testing.T) {
	k := newKit(t, sched.Config{})
	type key struct{}
	cause := errors.New("why")
	parent, end := context.WithCancelCause(context.WithValue(t.Context(), key{}, 42))
	began, got := make(chan bool, 1), make(chan error, 1)
	task, err := k.Add(parent, every("a", func(ctx context.Context, f sched.Fire) error {
		if ctx.Value(key{}) != 42 {
			t.Error("values of the parent are missing")
		}
		began <- true
		<-ctx.Done()
		got <- context.Cause(ctx)
		return ctx.Err()
	}))
	k.ok(err)
	k.clock.Advance(time.Second)
	<-began
	end(cause)
	k.fails(<-got, cause)
	k.settle()
	k.tells("a", "1 cancelled parent ended")
	if task.Cancel() {
		t.Error("cancelled after its parent")
	}
	b := k.add(every("b", func(ctx context.Context, f sched.Fire) error {
		began <- true
		<-ctx.Done()
		got <- context.Cause(ctx)
		return ctx.Err()
	}))
	k.clock.Advance(time.Second)
	<-began
	b.Cancel()
	k.fails(<-got, sched.ErrCancelled)
	k.settle()
	k.tells("b", "2 cancelled cancelled")
}

// A name is free as soon as the parent of its task has ended, not when the group
// has been told.
func TestNameOfAParentThatHasEnded(t *testing.T) {
	k := newKit(t, sched.Config{})
	for range 100 {
		parent, end := context.WithCancel(t.Context())
		_, err := k.Add(parent, every("a", nothing))
		end()
		k.ok(err)
	}
	k.settle()
	k.until(func(st sched.Stats) bool { return st.Tasks == 0 })
}

// What is to come in 292 years is not due before, nor when the Scheduler is closed.
func TestOnceThatDoesNotCome(t *testing.T) {
	k := newKit(t, sched.Config{})
	_, err := k.In(t.Context(), math.MaxInt64, nothing)
	k.ok(err)
	k.pass(time.Second)
	k.ok(k.Close(t.Context()))
	if lines := k.Ledger(sched.Filter{}); len(lines) != 0 {
		t.Errorf("%+v", lines)
	}
}

func TestOnceIsCalledOnceOrNot(t *testing.T) {
	k := newKit(t, sched.Config{})
	var ran []string
	note := func(name string) sched.Body {
		return func(context.Context, sched.Fire) error { ran = append(ran, name); return nil }
	}
	a, err := k.In(t.Context(), time.Second, note("a"))
	k.ok(err)
	b, err := k.In(t.Context(), time.Second, note("b"))
	k.ok(err)
	if !a.Cancel() || a.Cancel() {
		t.Error("cancelled, and again")
	}
	c, err := k.In(t.Context(), 3*time.Second, note("c")) // in what a was
	k.ok(err)
	if a.Cancel() {
		t.Error("a Once that is over has cancelled another")
	}
	k.pass(2 * time.Second)
	if b.Cancel() {
		t.Error("cancelled after it ran")
	}
	k.pass(time.Minute)
	if c.Cancel() || len(ran) != 2 || ran[0] != "b" || ran[1] != "c" {
		t.Error(ran)
	}
	if n := k.Stats().Tasks; n != 0 {
		t.Errorf("%d tasks are left", n)
	}
}

func TestTasksAreBounded(t *testing.T) {
	k := newKit(t, sched.Config{Tasks: 2})
	a := k.add(every("a", nothing))
	k.add(every("b", nothing))
	_, err := k.In(t.Context(), 1, nothing)
	k.fails(err, sched.ErrFull)
	a.Cancel()
	_, err = k.In(t.Context(), 1, nothing)
	k.ok(err)
	if n := k.Stats().Refused; n != 1 {
		t.Errorf("%d refused", n)
	}
}

func TestATriggerThatPanicsEndsItsTask(t *testing.T) {
	k := newKit(t, sched.Config{})
	k.add(sched.Job{Name: "a", Trigger: &panics{}, Do: nothing})
	k.add(every("b", nothing))
	k.pass(2 * time.Second)
	k.tells("a", "1 failed trigger panic")
	if l := k.Ledger(sched.Filter{Job: "a"})[0]; l.Err != "sched: panic: no" || !strings.Contains(l.Stack, "panics") {
		t.Errorf("%+v", l)
	}
	k.tells("b", "1 ran, 2 ran")
	if k.Find("a") != nil {
		t.Error("the task is still there")
	}
}

type panics struct{ asked bool }

func (p *panics) Next(prev time.Time) time.Time {
	if p.asked {
		panic("no")
	}
	p.asked = true
	return prev.Add(time.Second)
}
