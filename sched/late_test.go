package sched_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
)

// What waited for the run of before until its own deadline was over is dropped,
// although a worker comes to it before the clock does.
func TestDeadlineOfWhatWasBuffered(t *testing.T) {
	k := newKit(t, sched.Config{})
	h := newHeld()
	k.add(sched.Job{Name: "a", Trigger: sched.At(dawn.Add(time.Second), dawn.Add(2*time.Second)), Do: h.deaf,
		Deadline: 3 * time.Second, Grace: time.Minute, Overlap: sched.Overlap{Policy: sched.BufferOne}})
	k.clock.Advance(time.Second)
	k.begins(h)
	k.clock.Advance(9 * time.Second)
	h.end <- nil
	h.end <- nil
	k.settle()
	k.idle(h)
	k.tells("a", "1 ran, 2 dropped deadline")
}

// What was due before the process was there is as late as it is.
func TestDeadlineOfWhatNobodyWasThereFor(t *testing.T) {
	for name, ended := range map[string]bool{"missed": true, "cut off": false} {
		t.Run(name, func(t *testing.T) {
			state := new(sched.MemoryState)
			due := dawn.Add(-3 * time.Hour) // the clock of the kit began at -1 h
			mark, err := state.Begin(t.Context(), "a", sched.InstantOf(due))
			if err == nil && ended {
				due = due.Add(24 * time.Hour)
				err = state.End(t.Context(), mark)
			}
			k := newKit(t, sched.Config{State: state})
			k.ok(err)
			k.clock.Advance(due.Add(3 * time.Hour).Sub(dawn))
			h := newHeld()
			h.end <- nil
			k.add(sched.Job{Name: "a", Do: h.do, Trigger: sched.Every{Period: 24 * time.Hour, Start: dawn.Add(-3 * time.Hour)},
				Durable: true, Crash: sched.RunAgain, Deadline: 2 * time.Hour})
			k.clock.Advance(0)
			k.settle()
			k.idle(h)
			lines := k.Ledger(sched.Filter{Job: "a"})
			if len(lines) != 1 || lines[0].Reason != sched.TooLate || lines[0].Decided != 3*time.Hour {
				t.Errorf("%+v", lines)
			}
		})
	}
}

// A worker that had to end what another run left behind begins the next one when
// that is done: its time-out counts from there.
func TestBeginsAfterWhatIsLeftWasEnded(t *testing.T) {
	g := &slowGuard{ending: make(chan struct{}), end: make(chan struct{})}
	k := newKit(t, sched.Config{Workers: 1, Guard: g})
	a := k.add(sched.Job{Name: "a", Guarded: true, Trigger: sched.At(dawn.Add(time.Second)), Retry: sched.Retry{Tries: 2, First: time.Hour},
		Do: func(context.Context, sched.Fire) error { return errors.New("no") }})
	k.clock.Advance(time.Second)
	k.settle()
	a.Cancel()
	<-g.ending
	k.clock.Advance(time.Minute)
	k.ok(k.Submit(t.Context(), sched.Job{Name: "b", Timeout: time.Second, Do: nothing}))
	close(g.end)
	k.settle()
	if l := k.Ledger(sched.Filter{Job: "b"}); len(l) != 1 || l[0].Began != 0 || l[0].Ended != 0 {
		t.Errorf("%+v", l)
	}
}

// slowGuard takes its time to end a hold.
type slowGuard struct {
	sched.MemoryGuard
	ending, end chan struct{}
}

func (g *slowGuard) Hold(ctx context.Context, k sched.Key, lost func(error)) (sched.Held, error) {
	h, err := g.MemoryGuard.Hold(ctx, k, lost)
	return slowHold{h, g}, err
}

type slowHold struct {
	sched.Held
	g *slowGuard
}

func (h slowHold) End(ctx context.Context, ran bool) error {
	close(h.g.ending)
	<-h.g.end
	return h.Held.End(ctx, ran)
}
