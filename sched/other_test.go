package sched_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
)

// others is a Guard whose runs another holds, for ten seconds more each time that it
// is asked, until he has died or ended them.
type others struct {
	sched.MemoryGuard
	mu    sync.Mutex
	asked []string
	died  bool
	ended bool
}

func (g *others) Hold(ctx context.Context, k sched.Key, lost func(error)) (sched.Held, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, sec(k.Instant.Time()))
	switch {
	case g.ended:
		return nil, sched.ErrTaken
	case g.died:
		return g.MemoryGuard.Hold(ctx, k, lost)
	}
	return nil, &sched.HeldError{Left: 10 * time.Second}
}

func (g *others) is(died, ended bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.died, g.ended = died, ended
}

// What another replica is at is asked for again when his hold may be over.
func TestRunThatAnotherHolds(t *testing.T) {
	at := func(seconds ...int) sched.Trigger {
		var all []time.Time
		for _, s := range seconds {
			all = append(all, dawn.Add(time.Duration(s)*time.Second))
		}
		return sched.At(all...)
	}
	for name, test := range map[string]struct {
		job   sched.Job
		then  func(k *kit, g *others, task *sched.Task)
		asked []string
		lines string
	}{
		"he dies": {sched.Job{Trigger: at(1)}, func(_ *kit, g *others, _ *sched.Task) { g.is(true, false) },
			[]string{"1", "1"}, "1 ran"},
		"he ends it": {sched.Job{Trigger: at(1)}, func(_ *kit, g *others, _ *sched.Task) { g.is(false, true) },
			[]string{"1", "1"}, "1 skipped taken"},
		"he goes on, and ends it": {sched.Job{Trigger: at(1)}, func(k *kit, g *others, _ *sched.Task) {
			k.pass(15 * time.Second)
			g.is(false, true)
		}, []string{"1", "1", "1"}, "1 skipped taken"},
		"something newer is due": {sched.Job{Trigger: at(1, 5)}, func(k *kit, g *others, _ *sched.Task) { g.is(true, false) },
			[]string{"1", "5"}, "1 skipped taken, 5 ran"},
		"and waits beside it": {sched.Job{Trigger: at(1, 5), Overlap: sched.Overlap{Policy: sched.Allow}},
			func(_ *kit, g *others, _ *sched.Task) { g.is(true, false) }, []string{"1", "5", "1"}, "5 ran, 1 ran"},
		"its deadline": {sched.Job{Trigger: at(1), Deadline: 5 * time.Second}, func(*kit, *others, *sched.Task) {},
			[]string{"1"}, "1 dropped deadline"},
		"cancelled": {sched.Job{Trigger: at(1)}, func(_ *kit, _ *others, task *sched.Task) { task.Cancel() },
			[]string{"1"}, "1 cancelled cancelled"},
		"closed": {sched.Job{Trigger: at(1)}, func(k *kit, _ *others, _ *sched.Task) {
			ctx, end := context.WithTimeout(t.Context(), patience)
			defer end()
			k.ok(k.Close(ctx))
		}, []string{"1"}, "1 skipped taken"},
	} {
		t.Run(name, func(t *testing.T) {
			g := new(others)
			k := newKit(t, sched.Config{Guard: g})
			j := test.job
			tries := 0
			j.Name, j.Guarded = "a", true
			j.Do = func(_ context.Context, f sched.Fire) error {
				if tries++; f.Try != 1 {
					return errors.New("not the first try")
				}
				return nil
			}
			task := k.add(j)
			k.pass(2 * time.Second)
			if st := k.Stats(); st.Retrying != 1 {
				t.Errorf("%d wait", st.Retrying)
			}
			k.tells("a", "")
			test.then(k, g, task)
			k.pass(20 * time.Second)
			k.tells("a", test.lines)
			if !slices.Equal(g.asked, test.asked) {
				t.Errorf("asked %q, want %q", g.asked, test.asked)
			}
			if st := k.Stats(); st.Retrying != 0 {
				t.Errorf("%d wait", st.Retrying)
			}
		})
	}
}

// A run that has waited for another replica, or took the place of one that did, is
// not taken for one that does.
func TestRunAfterOneThatAnotherHolds(t *testing.T) {
	for second, lines := range map[int]string{2: "1 skipped taken, 3 skipped overlap", 11: "12 skipped overlap"} {
		g := new(others)
		k := newKit(t, sched.Config{Guard: g})
		h := newHeld()
		at := func(s int) time.Time { return dawn.Add(time.Duration(s) * time.Second) }
		instants := []time.Time{at(1), at(second + 1)}
		if second == 2 {
			instants = append(instants, at(second))
		}
		k.add(sched.Job{Name: "a", Guarded: true, Do: h.do, Trigger: sched.At(instants...)})
		k.pass(time.Duration(second-1) * time.Second)
		g.is(true, false)
		k.clock.Advance(time.Second)
		k.begins(h)
		k.clock.Advance(time.Second)
		k.tells("a", lines)
		h.end <- nil
		k.settle()
	}
}
