package sched_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
)

func TestDurableGoesOnWhereItWas(t *testing.T) {
	for name, test := range map[string]struct {
		misfire sched.Misfire
		lines   string
	}{
		"once":     {sched.Misfire{}, "4-8 coalesced missed, 9 ran, 10 ran"},
		"skip":     {sched.Misfire{Policy: sched.SkipMissed, After: 400 * time.Millisecond}, "4-9 skipped missed, 10 ran"},
		"catch up": {sched.Misfire{Policy: sched.CatchUp, Most: 3}, "4-6 skipped missed, 7 ran, 8 ran, 9 ran, 10 ran"},
	} {
		t.Run(name, func(t *testing.T) {
			state := new(sched.MemoryState)
			j := every("a", nothing)
			j.Durable, j.Misfire = true, test.misfire
			k := newKit(t, sched.Config{State: state})
			k.add(j)
			k.pass(3 * time.Second)
			k.tells("a", "1 ran, 2 ran, 3 ran")
			k.ok(k.Close(t.Context()))

			k = newKit(t, sched.Config{State: state})
			k.clock.Advance(9500 * time.Millisecond)
			k.add(j)
			for range 6 {
				k.clock.Advance(0)
				k.settle()
			}
			k.pass(500 * time.Millisecond)
			k.tells("a", test.lines)
		})
	}
}

// A job that has never run is known, too: the process that ends before its first
// instant does not take it along.
func TestDurableIsKnownBeforeItsFirstRun(t *testing.T) {
	state := new(sched.MemoryState)
	j := sched.Job{Name: "a", Durable: true, Trigger: sched.At(dawn.Add(time.Minute)), Do: nothing}
	k := newKit(t, sched.Config{State: state})
	k.add(j)
	k.ok(k.Close(ended(t)))

	k = newKit(t, sched.Config{State: state})
	k.clock.Advance(time.Hour)
	k.add(j)
	k.clock.Advance(0)
	k.settle()
	k.tells("a", "1m0 ran")

	past := sched.Job{Name: "past", Durable: true, Trigger: sched.At(dawn), Do: nothing}
	if _, err := k.Add(t.Context(), past); !errors.Is(err, sched.ErrTrigger) {
		t.Error(err)
	}
	if m, _ := state.Load(t.Context(), "past"); m.Instant != 0 {
		t.Errorf("%+v", m)
	}
}

// A mark of years ahead comes from a clock that was wrong. The job does not fall
// silent for so long: its lines say what is the matter.
func TestDurableAfterAClockThatWasWrong(t *testing.T) {
	state := new(sched.MemoryState)
	m, err := state.Note(t.Context(), "a", sched.InstantOf(dawn.AddDate(10, 0, 0)))
	k := newKit(t, sched.Config{State: state})
	k.ok(err)
	j := every("a", nothing)
	j.Durable = true
	k.add(j)
	k.pass(2 * time.Second)
	k.tells("a", "1 skipped stale, 2 skipped stale")
	k.ok(k.Close(t.Context()))

	k = newKit(t, sched.Config{State: state})
	k.clock.Advance(m.Instant.Time().Add(-time.Hour).Sub(dawn)) // set back by an hour: what ran is not run again
	k.add(j)
	k.clock.Advance(time.Minute)
	k.tells("a", "")
}

func ended(t *testing.T) context.Context {
	ctx, end := context.WithCancel(t.Context())
	end()
	return ctx
}

func TestDurableThatWasCutOff(t *testing.T) {
	for _, crash := range []sched.CrashPolicy{sched.LeaveCut, sched.RunAgain} {
		t.Run(fmt.Sprint(crash), func(t *testing.T) {
			state := new(sched.MemoryState)
			cut, err := state.Begin(t.Context(), "a", sched.InstantOf(dawn.Add(-time.Second)))
			if err != nil {
				t.Fatal(err)
			}
			k := newKit(t, sched.Config{State: state})
			var fires []sched.Fire
			j := every("a", func(_ context.Context, f sched.Fire) error { fires = append(fires, f); return nil })
			j.Durable, j.Crash = true, crash
			k.add(j)
			k.settle()
			if crash == sched.LeaveCut {
				k.tells("a", "-1 failed cut off")
				if len(fires) != 0 {
					t.Error(fires)
				}
			} else {
				k.tells("a", "-1 ran")
				if len(fires) != 1 || !fires[0].Again || fires[0].Fence <= cut.Fence {
					t.Errorf("%+v", fires)
				}
			}
			k.clock.Advance(0) // the one that was due meanwhile, at 0
			k.settle()
			k.pass(time.Second)
			if m, _ := state.Load(t.Context(), "a"); !m.Ended || m.Instant != sched.InstantOf(dawn.Add(time.Second)) {
				t.Errorf("%+v", m)
			}
		})
	}
}

// witness is a State that notes what it is told, and fails if it is told to.
type witness struct {
	sched.MemoryState
	mu   sync.Mutex
	said []string
	fail error
}

func (w *witness) note(s string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, s)
	return w.fail
}

func (w *witness) Begin(ctx context.Context, job string, at sched.Instant) (sched.Mark, error) {
	if err := w.note("begin"); err != nil {
		return sched.Mark{}, err
	}
	return w.MemoryState.Begin(ctx, job, at)
}

func (w *witness) End(ctx context.Context, m sched.Mark) error {
	_ = w.note("end")
	return w.MemoryState.End(ctx, m)
}

func TestDurableIsWrittenBeforeAndAfter(t *testing.T) {
	w := new(witness)
	k := newKit(t, sched.Config{State: w})
	tries := 0
	j := every("a", func(context.Context, sched.Fire) error {
		_ = w.note("body")
		if tries++; tries == 1 {
			return errors.New("no")
		}
		return nil
	})
	j.Durable, j.Retry = true, sched.Retry{Tries: 2, First: 100 * time.Millisecond}
	k.add(j)
	k.pass(1500 * time.Millisecond)
	if got := fmt.Sprint(w.said); got != "[begin body body end]" {
		t.Error(got)
	}
	w.said, w.fail = nil, errors.New("disk full")
	k.pass(time.Second)
	if got := fmt.Sprint(w.said); got != "[begin begin]" {
		t.Error(got)
	}
	k.tells("a", "1 retried, 2 failed state")
}

// Two replicas fire at every instant; one executes.
func TestGuardedRunsOnce(t *testing.T) {
	g := new(sched.MemoryGuard)
	var mu sync.Mutex
	fences := make(map[sched.Key]uint64)
	var kits []*kit
	for range 2 {
		k := newKit(t, sched.Config{Guard: g})
		j := every("a", func(_ context.Context, f sched.Fire) error {
			mu.Lock()
			defer mu.Unlock()
			if fences[f.Key()] != 0 {
				t.Errorf("%v runs twice", f.Key())
			}
			fences[f.Key()] = f.Fence
			return nil
		})
		j.Guarded = true
		k.add(j)
		kits = append(kits, k)
	}
	for range 20 {
		for _, k := range kits {
			k.clock.Advance(time.Second)
		}
		for _, k := range kits {
			k.settle()
		}
	}
	ran, taken := uint64(0), uint64(0)
	for _, k := range kits {
		ran += k.count(func(l sched.Line) bool { return l.Outcome == sched.Ran })
		taken += k.count(func(l sched.Line) bool { return l.Outcome == sched.Skipped && l.Reason == sched.Taken })
	}
	if ran != 20 || taken != 20 || len(fences) != 20 {
		t.Errorf("%d ran, %d were taken, %d keys", ran, taken, len(fences))
	}
}

// fickle is a Guard whose holds are lost when the test says so.
type fickle struct {
	sched.MemoryGuard
	lost chan func(error)
}

func (g *fickle) Hold(ctx context.Context, k sched.Key, lost func(error)) (sched.Held, error) {
	h, err := g.MemoryGuard.Hold(ctx, k, lost)
	if err == nil {
		g.lost <- lost
	}
	return h, err
}

func TestARunWhoseHoldIsLostEnds(t *testing.T) {
	g := &fickle{lost: make(chan func(error), 10)}
	k := newKit(t, sched.Config{Guard: g})
	h := newHeld()
	got := make(chan error, 1)
	j := every("a", func(ctx context.Context, f sched.Fire) error {
		err := h.do(ctx, f)
		got <- err
		return err
	})
	j.Guarded, j.Retry.Tries = true, 5
	k.add(j)
	k.clock.Advance(time.Second)
	k.begins(h)
	why := errors.New("why")
	(<-g.lost)(why)
	err := <-got
	k.fails(err, sched.ErrLost)
	k.fails(err, why)
	k.settle()
	k.tells("a", "1 failed hold lost")
}

// A run that is given up between two tries holds its Key no longer.
func TestHoldOfARunThatIsGivenUpEnds(t *testing.T) {
	g, w := new(sched.MemoryGuard), new(witness)
	k := newKit(t, sched.Config{Guard: g, State: w})
	j := every("a", func(context.Context, sched.Fire) error { return errors.New("no") })
	j.Guarded, j.Durable, j.Retry = true, true, sched.Retry{Tries: 2, First: time.Hour}
	task := k.add(j)
	k.pass(time.Second)
	task.Cancel()
	k.settle()
	k.tells("a", "1 cancelled cancelled")
	if got := fmt.Sprint(w.said); got != "[begin end]" {
		t.Error(got)
	}
	if _, err := g.Hold(t.Context(), sched.Key{Job: "a", Instant: sched.InstantOf(dawn.Add(time.Second))}, nil); !errors.Is(err, sched.ErrTaken) {
		t.Errorf("its body was called: %v", err)
	}
	if n := k.Stats().Lost; n != 0 {
		t.Errorf("%d ends were not taken", n)
	}
}

// What has surely not run is free for another replica.
func TestHoldOfARunThatDidNotBeginIsGivenBack(t *testing.T) {
	g, w := new(sched.MemoryGuard), &witness{fail: errors.New("disk full")}
	k := newKit(t, sched.Config{Guard: g, State: w})
	j := every("a", nothing)
	j.Guarded, j.Durable = true, true
	k.add(j)
	k.pass(time.Second)
	k.tells("a", "1 failed state")
	if _, err := g.Hold(t.Context(), sched.Key{Job: "a", Instant: sched.InstantOf(dawn.Add(time.Second))}, nil); err != nil {
		t.Error(err)
	}
}

// rude is a Guard, and a State, that panics when it is asked.
type rude struct{ sched.MemoryState }

func (*rude) Hold(context.Context, sched.Key, func(error)) (sched.Held, error) { panic("no") }

func (*rude) Begin(context.Context, string, sched.Instant) (sched.Mark, error) { panic("no") }

// Who panics has not answered: the run fails, and neither the pool nor the process
// has to deal with it.
func TestGuardAndStateThatPanic(t *testing.T) {
	r := new(rude)
	k := newKit(t, sched.Config{Guard: r, State: r})
	guarded, durable := every("guarded", nothing), every("durable", nothing)
	guarded.Guarded, durable.Durable = true, true
	k.add(guarded)
	k.add(durable)
	k.pass(time.Second)
	k.tells("guarded", "1 failed guard")
	k.tells("durable", "1 failed state")
	for _, l := range k.Ledger(sched.Filter{}) {
		if l.Err != "sched: panic: no" || !strings.Contains(l.Stack, "rude") {
			t.Errorf("%+v", l)
		}
	}
}
