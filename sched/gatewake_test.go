package sched_test

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
)

// What a rate lets begin begins, also while the bodies of before go on.
func TestRateOfLongBodies(t *testing.T) {
	k := newKit(t, sched.Config{Queues: []sched.Queue{{Name: "q", Rate: 10}}})
	h := newHeld()
	for range 4 {
		k.submit(sched.Job{Queue: "q", Do: h.do})
	}
	k.begins(h)
	for range 3 {
		k.idle(h)
		k.until(func(st sched.Stats) bool { return st.Workers == 4-st.Waiting }) // the others are parked
		k.clock.Advance(101 * time.Millisecond)
		k.begins(h)
	}
	for range 4 {
		h.end <- nil
	}
	k.settle()
}

// A run that was let go on at one gate and stands before another, or is given up,
// passes on what it was let go on for.
func TestGatePassesOn(t *testing.T) {
	for name, test := range map[string]func(k *kit, x *sched.Task, b *held){
		"another gate is closed": func(*kit, *sched.Task, *held) {},
		"cancelled": func(k *kit, x *sched.Task, b *held) {
			x.Cancel()
			b.end <- nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, sched.Config{Workers: 8, Resources: []sched.Resource{{Name: "a", N: 1}, {Name: "b", N: 1}}})
			needs := func(all ...string) (list []sched.Need) {
				for _, r := range all {
					list = append(list, sched.Need{Resource: r})
				}
				return list
			}
			a, b, x, y := newHeld(), newHeld(), newHeld(), newHeld()
			k.submit(sched.Job{Do: a.do, Needs: needs("a")})
			k.begins(a)
			k.submit(sched.Job{Do: b.do, Needs: needs("b")})
			k.begins(b)
			task := k.add(sched.Job{Name: "x", Do: x.do, Needs: needs("a", "b")})
			k.ok(task.Run(t.Context()))
			k.submit(sched.Job{Do: y.do, Needs: needs("a")})
			k.until(func(st sched.Stats) bool { return st.Waiting == 2 && st.Workers == 2 })
			if name == "cancelled" { // between being let go on and beginning
				k.Pause()
				a.end <- nil
				k.until(func(st sched.Stats) bool { return st.Running == 1 })
				test(k, task, b)
				k.Resume()
				k.begins(y)
				y.end <- nil
				k.settle()
				return
			}
			a.end <- nil
			k.begins(y)
			k.idle(x)
			y.end <- nil
			b.end <- nil
			k.begins(x)
			x.end <- nil
			k.settle()
		})
	}
}

// Room that a producer was woken for and does not take is the next one's.
func TestRoomThatIsNotTaken(t *testing.T) {
	k := newKit(t, sched.Config{Workers: 1, Queues: []sched.Queue{{Name: "q", Capacity: 1, Full: sched.Block}}})
	h := newHeld()
	k.submit(sched.Job{Do: h.do})
	k.begins(h)
	k.submit(sched.Job{Do: h.do, Queue: "q"})
	task := k.add(sched.Job{Name: "gone", Do: nothing, Queue: "q"})
	blocked := func(n int) func(sched.Stats) bool {
		return func(st sched.Stats) bool {
			for _, q := range st.Queues {
				if q.Name == "q" {
					return q.Blocked == n
				}
			}
			return false
		}
	}
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- task.Run(t.Context()) }()
	k.until(blocked(1))
	go func() { second <- k.Submit(t.Context(), sched.Job{Name: "second", Do: nothing, Queue: "q"}) }()
	k.until(blocked(2))
	task.Cancel()
	h.end <- nil
	k.begins(h)
	k.fails(<-first, sched.ErrGone)
	select {
	case err := <-second:
		k.ok(err)
	case <-time.After(patience):
		t.Fatal("waits for room that there is")
	}
	h.end <- nil
	k.settle()
	k.tells("second", "hand ran")
}

// A run that is asked for by hand and buffered is no missed instant.
func TestRunByHandIsNotMissed(t *testing.T) {
	k := newKit(t, sched.Config{})
	h := newHeld()
	task := k.add(sched.Job{Name: "a", Do: h.do, Overlap: sched.Overlap{Policy: sched.BufferOne},
		Misfire: sched.Misfire{Policy: sched.SkipMissed}})
	k.ok(task.Run(t.Context()))
	k.begins(h)
	k.ok(task.Run(t.Context()))
	k.clock.Advance(time.Minute)
	h.end <- nil
	k.begins(h)
	h.end <- nil
	k.settle()
	k.tells("a", "hand ran, hand ran")
}

func TestNoNumbersAreRefused(t *testing.T) {
	for _, rate := range []float64{math.NaN(), math.Inf(1), -1} {
		if _, err := sched.New(sched.Config{Queues: []sched.Queue{{Name: "q", Rate: rate}}}); err == nil {
			t.Errorf("a rate of %v", rate)
		}
	}
	k := newKit(t, sched.Config{})
	for i, r := range []sched.Retry{{Jitter: math.NaN()}, {Factor: math.NaN()}, {Factor: math.Inf(1)}} {
		_, err := k.Add(t.Context(), sched.Job{Do: nothing, Retry: r, Name: fmt.Sprint(i)})
		k.fails(err, sched.ErrConfig)
	}
}

// late is a context that tells nobody of its end until it is asked to.
type late struct {
	context.Context
	done chan struct{}
	tell chan func()
}

func (l *late) Done() <-chan struct{} { return l.done }

func (l *late) AfterFunc(f func()) (stop func() bool) {
	l.tell <- f
	return func() bool { return false }
}

// Nothing begins below a parent that has ended, even before it says so.
func TestNothingBeginsBelowAParentThatHasEnded(t *testing.T) {
	k := newKit(t, sched.Config{})
	ctx, end := context.WithCancel(t.Context())
	parent := &late{ctx, make(chan struct{}), make(chan func(), 1)}
	ran := make(chan sched.Fire, 1)
	_, err := k.Add(parent, every("a", func(_ context.Context, f sched.Fire) error { ran <- f; return nil }))
	k.ok(err)
	end()
	k.clock.Advance(time.Second)
	k.settle()
	k.tells("a", "1 cancelled parent ended")
	select {
	case f := <-ran:
		t.Errorf("%+v", f)
	default:
	}
	(<-parent.tell)()
	k.until(func(st sched.Stats) bool { return st.Tasks == 0 })
}

// S1: of 10,000 one-shots at 5 s whose parent ends at 1 s none runs, be it that
// time goes on at once, and nothing is left of them.
func TestOneShotsOfAParentThatHasEnded(t *testing.T) {
	k := newKit(t, sched.Config{})
	parent, end := context.WithCancel(t.Context())
	var ran atomic.Int64
	for range 10_000 {
		_, err := k.In(parent, 5*time.Second, func(context.Context, sched.Fire) error { ran.Add(1); return nil })
		k.ok(err)
	}
	k.clock.Advance(time.Second)
	end()
	k.clock.Advance(time.Minute)
	k.until(func(st sched.Stats) bool { return st.Tasks == 0 })
	k.settle()
	if st := k.Stats(); ran.Load() != 0 || st.Waiting != 0 || st.Instants(sched.Ran) != 0 {
		t.Errorf("%d ran: %+v", ran.Load(), st)
	}
}
