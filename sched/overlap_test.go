package sched_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
)

func TestOverlap(t *testing.T) {
	for name, test := range map[string]struct {
		overlap sched.Overlap
		during  string // after instants 1 to 5, of which the first run goes on
		after   string // once that has ended, and those that waited
	}{
		"skip":       {sched.Overlap{}, "2 skipped overlap, 3 skipped overlap, 4 skipped overlap, 5 skipped overlap", ", 1 ran"},
		"buffer one": {sched.Overlap{Policy: sched.BufferOne}, "3 skipped overlap, 4 skipped overlap, 5 skipped overlap", ", 1 ran, 2 ran"},
		"buffer all": {sched.Overlap{Policy: sched.BufferAll, Most: 2}, "4 dropped buffer full, 5 dropped buffer full", ", 1 ran, 2 ran, 3 ran"},
		"allow":      {sched.Overlap{Policy: sched.Allow, Most: 3}, "4 skipped overlap, 5 skipped overlap", ", 1 ran, 2 ran, 3 ran"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, sched.Config{Workers: 8})
			h := newHeld()
			j := every("a", h.do)
			j.Overlap = test.overlap
			task := k.add(j)
			k.clock.Advance(time.Second)
			k.begins(h)
			k.clock.Advance(4 * time.Second)
			k.tells("a", test.during)
			if test.overlap.Policy == sched.Allow {
				k.begins(h)
				k.begins(h)
			}
			k.idle(h)
			task.Pause()
			if test.overlap.Policy == sched.Allow { // in any order: end them one by one, by their order here
				for range 3 {
					h.end <- nil
				}
				k.settle()
				if n := k.count(func(l sched.Line) bool { return l.Outcome == sched.Ran }); n != 3 {
					t.Errorf("%d ran", n)
				}
				return
			}
			for range 3 {
				h.end <- nil
			}
			k.settle()
			k.tells("a", test.during+test.after)
		})
	}
}

func TestCancelOtherBeginsWhenTheOtherHasEnded(t *testing.T) {
	k := newKit(t, sched.Config{})
	h := newHeld()
	j := every("a", h.do)
	j.Overlap = sched.Overlap{Policy: sched.CancelOther}
	k.add(j)
	for range 3 {
		k.clock.Advance(time.Second)
		k.begins(h)
	}
	h.end <- nil
	k.settle()
	k.tells("a", "1 cancelled replaced, 2 cancelled replaced, 3 ran")
}

// One that ignores its context is waited for, by the newest instant only.
func TestCancelOtherThatIsDeaf(t *testing.T) {
	k := newKit(t, sched.Config{})
	h := newHeld()
	j := every("a", h.deaf)
	j.Overlap = sched.Overlap{Policy: sched.CancelOther, Grace: 1500 * time.Millisecond}
	k.add(j)
	k.clock.Advance(time.Second)
	k.begins(h)
	k.clock.Advance(3 * time.Second)
	k.tells("a", "2 skipped pushed out, 1 orphaned replaced, 3 skipped pushed out")
	k.idle(h)
	h.end <- nil
	if f := k.begins(h); sec(f.Instant.Time()) != "4" {
		t.Errorf("%v begins", f.Instant)
	}
	h.end <- nil
	k.settle()
	k.tells("a", "2 skipped pushed out, 1 orphaned replaced, 3 skipped pushed out, 4 ran")
}

func TestBufferedIsSkippedWhenItIsLate(t *testing.T) {
	k := newKit(t, sched.Config{})
	h := newHeld()
	j := every("a", h.do)
	j.Overlap = sched.Overlap{Policy: sched.BufferAll}
	j.Misfire = sched.Misfire{Policy: sched.SkipMissed, After: 1100 * time.Millisecond}
	task := k.add(j)
	k.clock.Advance(time.Second)
	k.begins(h)
	k.clock.Advance(3 * time.Second)
	task.Pause()
	h.end <- nil
	if f := k.begins(h); sec(f.Instant.Time()) != "3" {
		t.Errorf("%v begins", f.Instant)
	}
	h.end <- nil
	h.end <- nil
	k.settle()
	k.tells("a", "1 ran, 2 skipped missed, 3 ran, 4 ran")
}

func TestRetries(t *testing.T) {
	k := newKit(t, sched.Config{})
	h := newHeld()
	j := every("a", h.do)
	j.Retry = sched.Retry{Tries: 3, First: 100 * time.Millisecond, Jitter: -1, Factor: 3}
	task := k.add(j)
	for i, outcome := range []string{"1 failed error", "2 retried", "3 failed error", "4 failed panic"} {
		k.clock.Advance(time.Second - k.clock.Wall().Sub(dawn)%time.Second)
		for try := 1; ; try++ {
			f := k.begins(h)
			if f.Try != try || f.Instant != sched.InstantOf(dawn.Add(time.Duration(i+1)*time.Second)) {
				t.Fatalf("%d: %+v", try, f)
			}
			switch {
			case i == 0:
				h.end <- errors.New("no")
			case i == 1 && try == 1:
				h.end <- errors.New("no")
			case i == 1:
				h.end <- nil
			case i == 2:
				h.end <- errors.Join(errors.New("no"), sched.ErrPermanent)
			default:
				h.end <- &sched.PanicError{Value: 1}
			}
			k.settle()
			if task.Info().Retrying == 0 {
				break
			}
			wait := 100 * time.Millisecond
			if try == 2 {
				wait *= 3
			}
			k.clock.Advance(wait - 1)
			if task.Info().Retrying != 1 {
				t.Fatalf("tried again too early: %+v", task.Info())
			}
			k.clock.Advance(1)
		}
		want := outcome
		last := k.Ledger(sched.Filter{Last: 1})[0]
		if got := sec(last.Instant) + " " + last.Outcome.String(); last.Reason != 0 && got+" "+last.Reason.String() != want || last.Reason == 0 && got != want {
			t.Errorf("%s %v, want %s", got, last.Reason, want)
		}
	}
	if n := k.Stats().Tries; n != 3+2+1+3 {
		t.Errorf("%d tries", n)
	}
}

func TestRetryIsBounded(t *testing.T) {
	waits := sched.Waits(sched.Retry{First: time.Second, Most: 5 * time.Second, Jitter: 0.5})
	last := time.Duration(0)
	for i := range 1000 {
		d := waits()
		if d < 500*time.Millisecond || d > 5*time.Second {
			t.Fatalf("%d: %v", i, d)
		}
		last = max(last, d)
	}
	if last < 4*time.Second {
		t.Errorf("does not grow: %v", last)
	}
}

func TestPanicsAreErrors(t *testing.T) {
	k := newKit(t, sched.Config{Workers: 1})
	n := 0
	k.add(every("a", func(c context.Context, f sched.Fire) error {
		switch n++; n {
		case 1:
			panic(errors.New("no"))
		case 2:
			runtime.Goexit()
		}
		return nil
	}))
	k.pass(3 * time.Second)
	k.tells("a", "1 failed panic, 2 failed panic, 3 ran")
	if st := k.Stats(); st.Panics != 2 || st.Workers != 0 || st.Running != 0 {
		t.Errorf("%+v", st)
	}
}

func TestTimeout(t *testing.T) {
	k := newKit(t, sched.Config{})
	h := newHeld()
	j := sched.Job{Name: "a", Trigger: sched.At(dawn.Add(time.Second)), Do: h.do, Timeout: 300 * time.Millisecond}
	k.add(j)
	k.clock.Advance(time.Second)
	k.begins(h)
	k.clock.Advance(299 * time.Millisecond)
	if got := k.told("a"); got != "" {
		t.Error(got)
	}
	k.clock.Advance(time.Millisecond)
	k.settle()
	k.tells("a", "1 failed timeout")
	if l := k.Ledger(sched.Filter{})[0]; l.Err != sched.ErrTimeout.Error() || l.Ended != 300*time.Millisecond {
		t.Errorf("%+v", l)
	}
}

func TestTimeoutIsADeadlineForTheBody(t *testing.T) {
	k := newKit(t, sched.Config{})
	got := make(chan error, 1)
	k.add(sched.Job{Name: "a", Timeout: time.Second, Trigger: sched.At(dawn.Add(time.Second)), Do: func(ctx context.Context, f sched.Fire) error {
		end, ok := ctx.Deadline()
		if want := dawn.Add(2 * time.Second); !ok || !end.Equal(want) {
			t.Errorf("%v, want %v", end, want)
		}
		got <- nil
		<-ctx.Done()
		got <- ctx.Err()
		return nil
	}})
	k.clock.Advance(time.Second)
	<-got
	k.clock.Advance(time.Second)
	if err := <-got; err.Error() != "context deadline exceeded" {
		t.Error(err)
	}
	k.settle()
	k.tells("a", "1 ran") // it ended well
}

func TestDeadlineDropsWhatHasNotBegun(t *testing.T) {
	k := newKit(t, sched.Config{Workers: 1})
	h := newHeld()
	k.add(sched.Job{Name: "a", Trigger: sched.At(dawn.Add(time.Second)), Do: h.do, Deadline: 3 * time.Second})
	k.add(sched.Job{Name: "b", Trigger: sched.At(dawn.Add(2 * time.Second)), Do: h.do, Deadline: time.Second})
	k.clock.Advance(2 * time.Second)
	k.begins(h)
	k.clock.Advance(time.Second)
	k.tells("b", "2 dropped deadline")
	k.clock.Advance(time.Second)
	k.settle()
	k.tells("a", "1 failed deadline")
}

func TestOrphans(t *testing.T) {
	for name, test := range map[string]struct {
		policy    sched.OrphanPolicy
		reentrant bool
		tries     int
		lines     string // when the orphan is one, and another instant has come
		after     string
	}{
		"hold":              {sched.HoldSlot, false, 0, "1 orphaned timeout, 2 skipped orphan", "1 orphaned timeout, 2 skipped orphan, 3 ran"},
		"re-entrant":        {sched.HoldSlot, true, 0, "1 orphaned timeout", "1 orphaned timeout, 2 ran, 3 ran"},
		"hold, tries again": {sched.HoldSlot, false, 2, "2 skipped orphan", "2 skipped orphan, 1 retried, 3 ran"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, sched.Config{})
			h := newHeld()
			j := every("a", h.deaf)
			j.Timeout, j.Grace = 200*time.Millisecond, 300*time.Millisecond
			j.Orphan, j.Reentrant, j.Retry = test.policy, test.reentrant, sched.Retry{Tries: test.tries, First: 1, Jitter: -1}
			k.add(j)
			k.clock.Advance(time.Second)
			k.begins(h)
			k.clock.Advance(499 * time.Millisecond)
			if n := k.Stats().Orphans; n != 0 {
				t.Errorf("%d orphans too early", n)
			}
			k.clock.Advance(501 * time.Millisecond)
			if test.reentrant {
				k.begins(h)
			}
			k.idle(h)
			k.tells("a", test.lines)
			if n := k.Stats().Orphans; n != 1 {
				t.Errorf("%d orphans", n)
			}
			if i := k.Find("a").Info(); !test.reentrant && (i.Running != 1 || i.Waiting+i.Retrying != 0) {
				t.Errorf("beside its orphan: %+v", i)
			}
			h.end <- errors.New("late")
			h.end <- nil
			k.until(func(st sched.Stats) bool { return st.Orphans == 0 && st.Running == 0 })
			if test.tries > 0 {
				k.clock.Advance(1)
				k.begins(h)
			}
			k.settle()
			k.clock.Advance(time.Second)
			k.begins(h)
			h.end <- nil
			k.settle()
			if test.reentrant { // which of two ended with an error is anybody's guess
				return
			}
			k.tells("a", test.after)
		})
	}
}

func TestReplaceSlotIsBounded(t *testing.T) {
	k := newKit(t, sched.Config{Workers: 1, Replaced: 2, Queues: []sched.Queue{{Concurrency: 1}}})
	deaf, h := newHeld(), newHeld()
	for i := range 4 {
		k.add(sched.Job{Trigger: sched.At(dawn.Add(time.Duration(i+1) * time.Second)), Do: deaf.deaf,
			Timeout: 1, Grace: 1, Orphan: sched.ReplaceSlot})
	}
	k.add(sched.Job{Name: "b", Trigger: sched.At(dawn.Add(10 * time.Second)), Do: h.do})
	for range 3 {
		k.clock.Advance(time.Second)
		k.begins(deaf)
		k.clock.Advance(2)
	}
	k.clock.Advance(10 * time.Second)
	k.idle(deaf)
	k.idle(h)
	if st := k.Stats(); st.Orphans != 3 || st.Waiting != 2 || st.Workers != 3 {
		t.Errorf("%+v", st)
	}
	deaf.end <- nil // one of them, be it one that was replaced or not
	deaf.end <- nil
	deaf.end <- nil
	k.begins(deaf)
	deaf.end <- nil
	k.begins(h)
	h.end <- nil
	k.until(func(st sched.Stats) bool { return st.Running == 0 && st.Workers == 0 }) // one may be on its way to nothing
	if st := k.Stats(); st.Orphans != 0 || st.Waiting != 0 || st.Queues[0].Running != 0 {
		t.Errorf("%+v", st)
	}
}

// A re-entrant job is tried again beside its orphan, and has one line.
func TestReentrantTriesBesideItsOrphan(t *testing.T) {
	k := newKit(t, sched.Config{})
	h := newHeld()
	k.add(sched.Job{Name: "a", Trigger: sched.At(dawn.Add(time.Second)), Do: h.deaf, Reentrant: true,
		Timeout: time.Second, Grace: time.Second, Retry: sched.Retry{Tries: 2, First: time.Second, Jitter: -1}})
	k.clock.Advance(time.Second)
	k.begins(h)
	k.clock.Advance(2999 * time.Millisecond)
	if st := k.Stats(); st.Orphans != 1 || st.Retrying != 1 {
		t.Errorf("%+v", st)
	}
	k.clock.Advance(time.Millisecond)
	if f := k.begins(h); f.Try != 2 {
		t.Errorf("%+v", f)
	}
	h.end <- nil
	h.end <- nil
	k.until(func(st sched.Stats) bool { return st.Running == 0 })
	k.tells("a", "1 retried")
	if n := k.Stats().Tasks; n != 0 {
		t.Errorf("%d tasks", n)
	}
}
