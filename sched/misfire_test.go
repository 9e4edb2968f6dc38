package sched_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
)

// fires is a body that notes what it stands for.
type fires struct{ all []string }

func (n *fires) do(_ context.Context, f sched.Fire) error {
	s := sec(f.Instant.Time())
	if f.Missed > 0 {
		s = fmt.Sprintf("%s(%d from %s)", s, f.Missed, sec(f.First.Time()))
	}
	n.all = append(n.all, s)
	return nil
}

func TestMisfire(t *testing.T) {
	walks := func(tr sched.Trigger) sched.Trigger { return struct{ sched.Trigger }{tr} } // cannot count
	for name, test := range map[string]struct {
		misfire sched.Misfire
		stall   time.Duration
		runs    string
		lines   string
	}{
		"once, by default":          {sched.Misfire{}, 5 * time.Second, "[1 6(4 from 2) 7]", "1 ran, 2-5 coalesced missed, 6 ran, 7 ran"},
		"once, one late":            {sched.Misfire{}, 1900 * time.Millisecond, "[1 2 3]", "1 ran, 2 ran, 3 ran"},
		"skip":                      {sched.Misfire{Policy: sched.SkipMissed}, 5*time.Second + 900*time.Millisecond, "[1 6 7]", "1 ran, 2-5 skipped missed, 6 ran, 7 ran"},
		"skip, none is on time":     {sched.Misfire{Policy: sched.SkipMissed, After: 100 * time.Millisecond}, 5*time.Second + 900*time.Millisecond, "[1 7]", "1 ran, 2-6 skipped missed, 7 ran"},
		"skip, one late":            {sched.Misfire{Policy: sched.SkipMissed, After: 100 * time.Millisecond}, 1900 * time.Millisecond, "[1 3]", "1 ran, 2 skipped missed, 3 ran"},
		"catch up":                  {sched.Misfire{Policy: sched.CatchUp}, 4 * time.Second, "[1 2 3 4 5 6]", "1 ran, 2 ran, 3 ran, 4 ran, 5 ran, 6 ran"},
		"catch up, the newest only": {sched.Misfire{Policy: sched.CatchUp, Most: 2}, 5 * time.Second, "[1 5 6 7]", "1 ran, 2-4 skipped missed, 5 ran, 6 ran, 7 ran"},
		"catch up, not the old":     {sched.Misfire{Policy: sched.CatchUp, Window: 2 * time.Second}, 5 * time.Second, "[1 4 5 6 7]", "1 ran, 2-3 skipped missed, 4 ran, 5 ran, 6 ran, 7 ran"},
	} {
		for _, counts := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", counts ", counts), func(t *testing.T) {
				k := newKit(t, sched.Config{})
				var n fires
				j := every("a", n.do)
				j.Misfire = test.misfire
				if !counts {
					j.Trigger = walks(j.Trigger)
				}
				k.add(j)
				k.pass(time.Second)
				k.clock.Stall(test.stall)
				for range 20 { // what is caught up on comes one by one
					k.settle()
					k.clock.Advance(0)
				}
				k.pass(time.Second - test.stall%time.Second)
				k.tells("a", test.lines)
				if got := fmt.Sprint(n.all); got != test.runs {
					t.Errorf("ran %s, want %s", got, test.runs)
				}
			})
		}
	}
}

// What a process that was stopped for a month has missed of a job of a
// millisecond is counted, not walked along; and where it has to be, in parts.
func TestMisfireOfMillions(t *testing.T) {
	for name, trigger := range map[string]sched.Trigger{
		"counts": sched.Every{Period: time.Millisecond},
		"walks":  struct{ sched.Trigger }{sched.Every{Period: 40 * time.Second}},
	} {
		for _, policy := range []sched.MisfirePolicy{sched.FireOnce, sched.SkipMissed, sched.CatchUp} {
			t.Run(fmt.Sprint(name, policy), func(t *testing.T) {
				k := newKit(t, sched.Config{})
				task := k.add(sched.Job{Name: "a", Trigger: trigger, Do: nothing,
					Misfire: sched.Misfire{Policy: policy, Most: 3}})
				const month = 30 * 24 * time.Hour
				k.clock.Stall(month)
				for range 10 {
					k.settle()
					k.clock.Advance(0)
				}
				due, _, _ := sched.Count(trigger, dawn, dawn.Add(month), 1e9)
				if n := k.count(func(l sched.Line) bool { return true }); n != due {
					t.Errorf("%d of %d instants are in the ledger", n, due)
				}
				if got, want := task.Next(), trigger.Next(dawn.Add(month)); !got.Equal(want) {
					t.Errorf("next is %v, want %v", got, want)
				}
				want := map[sched.MisfirePolicy]uint64{sched.FireOnce: 1, sched.SkipMissed: 1, sched.CatchUp: 3}[policy]
				if n := k.count(func(l sched.Line) bool { return l.Outcome == sched.Ran }); n != want {
					t.Errorf("%d ran, want %d", n, want)
				}
			})
		}
	}
}

func TestCatchUpKeepsAPace(t *testing.T) {
	k := newKit(t, sched.Config{})
	var n fires
	j := every("a", n.do)
	j.Misfire = sched.Misfire{Policy: sched.CatchUp, Pace: 300 * time.Millisecond}
	k.add(j)
	k.clock.Stall(3 * time.Second)
	k.settle()
	var seen []int
	for range 8 {
		seen = append(seen, len(n.all))
		k.clock.Advance(100 * time.Millisecond)
		k.settle()
	}
	if want := []int{1, 1, 1, 2, 2, 2, 3, 3}; !slices.Equal(seen, want) {
		t.Errorf("%v runs each tenth of a second, want %v", seen, want)
	}
}

// An instant that comes while what was before it is being caught up on waits,
// too, whatever Overlap says.
func TestCatchUpIsInOrder(t *testing.T) {
	k := newKit(t, sched.Config{})
	h := newHeld()
	j := every("a", h.do)
	j.Misfire.Policy = sched.CatchUp
	j.Overlap.Policy = sched.Allow
	k.add(j)
	k.clock.Stall(2500 * time.Millisecond)
	for i := range 3 {
		f := k.begins(h)
		if want := dawn.Add(time.Duration(i+1) * time.Second); !f.Instant.Time().Equal(want) {
			t.Fatalf("%v, want %v", f.Instant, want)
		}
		k.clock.Advance(200 * time.Millisecond) // with the second run, past the third instant
		if st := k.Stats(); st.Running+st.Waiting != 1 {
			t.Fatalf("beside the run of %v: %+v", f.Instant, st)
		}
		h.end <- nil
		k.settle()
		k.clock.Advance(200 * time.Millisecond)
	}
	k.tells("a", "1 ran, 2 ran, 3 ran")
}
