package idem_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-go/weir/idem"
)

// dies leaves the key as an owner does that died after it marked a step.
func dies(t *testing.T, c *idem.Client) {
	t.Helper()
	_, err := c.Do(bg, key, nil, redo, func(ctx context.Context, a *idem.Attempt) ([]byte, error) {
		if err := a.Mark(ctx, []byte("card charged")); err != nil {
			t.Error(err)
		}
		return nil, errors.New("connection reset")
	})
	if !errors.Is(err, idem.ErrUnknown) {
		t.Fatal(err)
	}
}

// TestUnknown: each choice does what it says about an owner that died.
func TestUnknown(t *testing.T) {
	unreachable := errors.New("the bank does not answer")
	find := func(f idem.Finding, err error) idem.Choice {
		return idem.Reconcile(func(_ context.Context, a *idem.Attempt) (idem.Finding, error) {
			if !a.Taken || string(a.Step) != "card charged" || a.Fence == 0 {
				return f, errors.New("attempt is not what it should be")
			}
			return f, err
		})
	}
	for name, test := range map[string]struct {
		choice   idem.Choice
		runs     uint64
		result   string // "" for an error
		want     error
		replayed bool
		then     idem.State
	}{
		"redo":          {idem.Redo(), 1, "ran", nil, false, idem.Done},
		"halt":          {idem.Halt(), 0, "", idem.ErrUnknown, false, idem.Unknown},
		"applied":       {find(idem.Applied([]byte("found")), nil), 0, "found", nil, true, idem.Done},
		"not applied":   {find(idem.NotApplied(), nil), 1, "ran", nil, false, idem.Done},
		"cannot tell":   {find(idem.CannotTell(), nil), 0, "", idem.ErrUnknown, false, idem.Unknown},
		"cannot ask":    {find(idem.Finding{}, unreachable), 0, "", unreachable, false, idem.Running},
		"zero finding":  {find(idem.Finding{}, nil), 0, "", idem.ErrUnknown, false, idem.Unknown},
		"cannot ask II": {find(idem.Applied(nil), unreachable), 0, "", idem.ErrUnknown, false, idem.Running},
	} {
		t.Run(name, func(t *testing.T) {
			c := &idem.Client{Store: new(idem.Memory)}
			dies(t, c)
			p := redo
			p.Unknown = test.choice
			before := c.Stats().Ran
			r, err := c.Do(bg, key, nil, p, func(_ context.Context, a *idem.Attempt) ([]byte, error) {
				check(t, string(a.Step) == "card charged" && a.Taken && a.Number == 2, "attempt", a)
				return []byte("ran"), nil
			})
			check(t, errors.Is(err, test.want), "error", err)
			check(t, string(r.Result) == test.result && r.Replayed == test.replayed, "reply", r)
			check(t, c.Stats().Ran-before == test.runs, "runs", c.Stats())
			given := uint64(1) // to the one that died
			if errors.Is(err, idem.ErrUnknown) {
				given++
			}
			check(t, c.Stats().Unknown == given, "ErrUnknown given", c.Stats())
			rec, err := c.Lookup(bg, key)
			check(t, err == nil && rec.State == test.then, "record", rec)
			if rec.State == idem.Running { // given up, not kept until the lease ends
				_, err := c.Do(bg, key, nil, redo, func(context.Context, *idem.Attempt) ([]byte, error) { return nil, nil })
				check(t, err == nil, "the next", err)
			}
		})
	}
}

// TestStuck: an operation that kills everybody who tries it is not tried for
// ever, and a person can end it.
func TestStuck(t *testing.T) {
	c := &idem.Client{Store: new(idem.Memory)}
	p := redo
	p.Attempts = 3
	for range 3 {
		dies(t, c)
	}
	_, err := c.Do(bg, key, nil, p, never(t))
	var e *idem.Error
	if !errors.Is(err, idem.ErrStuck) || !errors.As(err, &e) || string(e.Step) != "card charged" {
		t.Fatal(err)
	}
	if err := c.Resolve(bg, key, e.Version-1, idem.Again(), p); !errors.Is(err, idem.ErrConflict) {
		t.Fatalf("a decision about an older version: %v", err)
	}
	if err := c.Resolve(bg, key, e.Version, idem.Decision{}, p); !errors.Is(err, idem.ErrNoChoice) {
		t.Fatalf("no decision: %v", err)
	}
	if err := c.Resolve(bg, key, e.Version, idem.Happened([]byte("receipt 17")), p); err != nil {
		t.Fatal(err)
	}
	r, err := c.Do(bg, key, nil, p, never(t))
	check(t, err == nil && r.Replayed && string(r.Result) == "receipt 17", "after a person", r)
}

func TestResolve(t *testing.T) {
	halt := redo
	halt.Unknown = idem.Halt()
	for name, test := range map[string]struct {
		decision idem.Decision
		then     func(t *testing.T, r idem.Reply, err error, runs uint64)
	}{
		"happened": {idem.Happened([]byte("x")), func(t *testing.T, r idem.Reply, err error, runs uint64) {
			check(t, err == nil && string(r.Result) == "x" && runs == 0, "reply", r)
		}},
		"never": {idem.Never("sold out"), func(t *testing.T, r idem.Reply, err error, runs uint64) {
			var f *idem.Failure
			check(t, errors.As(err, &f) && f.Reason == "sold out" && runs == 0, "error", err)
		}},
		"again": {idem.Again(), func(t *testing.T, r idem.Reply, err error, runs uint64) {
			check(t, err == nil && string(r.Result) == "ran" && runs == 1, "reply", r)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := &idem.Client{Store: new(idem.Memory)}
			dies(t, c)
			_, err := c.Do(bg, key, nil, halt, never(t))
			var e *idem.Error
			if !errors.Is(err, idem.ErrUnknown) || !errors.As(err, &e) {
				t.Fatal(err)
			}
			if err := c.Resolve(bg, key, e.Version, test.decision, halt); err != nil {
				t.Fatal(err)
			}
			before := c.Stats().Ran
			r, err := c.Do(bg, key, nil, halt, func(_ context.Context, a *idem.Attempt) ([]byte, error) {
				check(t, !a.Taken && a.Number == 1 && len(a.Step) == 0, "attempt", a)
				return []byte("ran"), nil
			})
			test.then(t, r, err, c.Stats().Ran-before)
		})
	}
}

// TestFencedOwner: an owner that the store does not hear of any more is told to
// stop before another can take over; when it does not, its end is refused and
// counted, and the effect can tell the two by their fences.
func TestFencedOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(idem.Memory)
		cut := &faulty{Store: store}
		owner, other := &idem.Client{Store: cut}, &idem.Client{Store: store}
		var fences []uint64
		started, ended := make(chan struct{}), make(chan error)
		go func() {
			_, err := owner.Do(bg, key, nil, redo, func(ctx context.Context, a *idem.Attempt) ([]byte, error) {
				fences = append(fences, a.Fence)
				close(started)
				begun := time.Now()
				<-ctx.Done()
				check(t, context.Cause(ctx) == idem.ErrFenced && ctx.Err() == context.Canceled, "cause", context.Cause(ctx))
				check(t, time.Since(begun) <= 8*time.Second, "of a lease of 10 s it had", time.Since(begun))
				<-time.After(time.Minute) // and it does not care
				cut.set(nil)
				return []byte("zombie"), nil
			})
			ended <- err
		}()
		<-started
		cut.set(func(string) (bool, bool) { return false, false })
		p := redo
		p.Wait = true
		r, err := other.Do(bg, key, nil, p, func(_ context.Context, a *idem.Attempt) ([]byte, error) {
			fences = append(fences, a.Fence)
			return []byte("right"), nil
		})
		check(t, err == nil && string(r.Result) == "right", "the other one", err)
		err = <-ended
		check(t, errors.Is(err, idem.ErrLost), "the first one", err)
		check(t, fences[1] > fences[0], "fences", fences)
		s := owner.Stats()
		check(t, s.Fenced == 1 && s.Lost == 1 && s.Suspected() == 1 && s.Missed > 0, "stats", s)
		check(t, other.Stats().TakenOver == 1, "stats", other.Stats())
	})
}

// TestStoppedProcess: a process that was stopped past its lease finds its
// context ended at the first look, before any timer of its has run.
func TestStoppedProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &idem.Client{Store: new(idem.Memory)}
		p := redo
		p.Lease = time.Second
		idem.StopClock(c) // no timer runs
		c.Do(bg, key, nil, p, func(ctx context.Context, _ *idem.Attempt) ([]byte, error) {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			<-time.After(799 * time.Millisecond)
			check(t, ctx.Err() == nil, "before", ctx.Err())
			<-time.After(time.Millisecond)
			check(t, ctx.Err() == context.Canceled && context.Cause(ctx) == idem.ErrFenced, "after", ctx.Err())
			<-ctx.Done()
			<-child.Done()
			return nil, ctx.Err()
		})
		check(t, c.Stats().Fenced == 1, "stats", c.Stats())
	})
}
