package schedtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
)

// A Replica is one program's side of a Guard.
type Replica struct {
	sched.Guard

	// Crash ends the replica as kill -9 would: none of its holds is ended. Nil:
	// what a crash leaves is not tested.
	Crash func()
}

// Guards says how the Guard to be tested is made.
type Guards struct {
	// Open returns a function that returns another replica each time, all of
	// which share what is theirs. It is called for each test and has nothing in
	// it then.
	Open func(t *testing.T) func() Replica

	// Free is how long a hold outlives a crash at most. Zero: a minute.
	Free time.Duration
}

// TestGuard tests whether it is a Guard.
func TestGuard(t *testing.T, g Guards) {
	if g.Free == 0 {
		g.Free = time.Minute
	}
	for name, test := range map[string]func(*testing.T, func() Replica, time.Duration){
		"HeldIsTaken":        testTaken,
		"RanIsOver":          testRan,
		"NotRunIsFree":       testFree,
		"FencesRise":         testFences,
		"KeysAreApart":       testApart,
		"OneOfMany":          testOneOfMany,
		"CrashFreesTheHold":  testCrash,
		"AnEndedContextEnds": testContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, g.Open(t), g.Free) })
	}
}

// key is the n-th of a job.
func key(job string, n int) sched.Key {
	return sched.Key{Job: job, Instant: sched.InstantOf(time.Date(2026, 11, 22, 3, 0, n, 0, time.UTC))}
}

// lost is for holds that nothing takes away.
func lost(t *testing.T) func(error) {
	return func(err error) { t.Errorf("hold lost: %v", err) }
}

func hold(t *testing.T, g sched.Guard, k sched.Key) sched.Held {
	t.Helper()
	h, err := g.Hold(t.Context(), k, lost(t))
	if err != nil {
		t.Fatalf("%v: %v", k, err)
	}
	return h
}

func end(t *testing.T, h sched.Held, ran bool) {
	t.Helper()
	if err := h.End(t.Context(), ran); err != nil {
		t.Fatal(err)
	}
}

func taken(t *testing.T, g sched.Guard, k sched.Key) {
	t.Helper()
	if _, err := g.Hold(t.Context(), k, lost(t)); !errors.Is(err, sched.ErrTaken) {
		t.Fatalf("%v: %v, want ErrTaken", k, err)
	}
}

func testTaken(t *testing.T, open func() Replica, _ time.Duration) {
	a, b := open(), open()
	h := hold(t, a, key("job", 1))
	taken(t, b, key("job", 1))
	taken(t, a, key("job", 1)) // the holder himself
	end(t, h, true)
}

func testRan(t *testing.T, open func() Replica, _ time.Duration) {
	a, b := open(), open()
	end(t, hold(t, a, key("job", 1)), true)
	taken(t, a, key("job", 1))
	taken(t, b, key("job", 1))
	end(t, hold(t, b, key("job", 2)), true)
	taken(t, a, key("job", 1)) // also when a later one has run
	taken(t, open(), key("job", 1))
}

func testFree(t *testing.T, open func() Replica, _ time.Duration) {
	a, b := open(), open()
	h := hold(t, a, key("job", 1))
	end(t, h, false)
	again := hold(t, b, key("job", 1))
	if again.Fence() <= h.Fence() {
		t.Fatalf("fence %d after %d", again.Fence(), h.Fence())
	}
	taken(t, a, key("job", 1))
	end(t, again, true)
	taken(t, a, key("job", 1))
}

func testFences(t *testing.T, open func() Replica, _ time.Duration) {
	replicas := []Replica{open(), open(), open()}
	var last uint64
	for i := range 30 {
		h := hold(t, replicas[i%3], key("job", i/2))
		if h.Fence() <= last {
			t.Fatalf("hold %d: fence %d after %d", i, h.Fence(), last)
		}
		last = h.Fence()
		end(t, h, i%2 == 1) // each is held twice
	}
}

func testApart(t *testing.T, open func() Replica, _ time.Duration) {
	a, b := open(), open()
	held := []sched.Held{hold(t, a, key("one", 1)), hold(t, b, key("two", 1)), hold(t, b, key("one", 2)), hold(t, a, key("on", 1)),
		hold(t, b, key("one@", 1)), hold(t, a, key("", 1))}
	for _, h := range held {
		end(t, h, true)
	}
}

// testOneOfMany has replicas run for the same keys at once.
func testOneOfMany(t *testing.T, open func() Replica, _ time.Duration) {
	const replicas, keys = 8, 50
	var granted [keys]atomic.Int64
	var wg sync.WaitGroup
	for range replicas {
		r := open()
		wg.Go(func() {
			for n := range keys {
				h, err := r.Hold(t.Context(), key("job", n), lost(t))
				if errors.Is(err, sched.ErrTaken) {
					continue
				}
				if err == nil {
					granted[n].Add(1)
					err = h.End(t.Context(), true)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for n := range keys {
		if got := granted[n].Load(); got != 1 {
			t.Errorf("key %d was granted %d times", n, got)
		}
	}
}

// testCrash: what a dead replica held is free after a while, and what it had
// ended stays so.
func testCrash(t *testing.T, open func() Replica, free time.Duration) {
	a, b := open(), open()
	if a.Crash == nil {
		t.Skip("this Guard's crashes are not tested")
	}
	end(t, hold(t, a, key("job", 1)), true)
	h, err := a.Hold(t.Context(), key("job", 2), func(error) {}) // lost or not
	if err != nil {
		t.Fatal(err)
	}
	a.Crash()
	ctx, cancel := context.WithTimeoutCause(t.Context(), free, fmt.Errorf("still held after %v", free))
	defer cancel()
	for {
		again, err := b.Hold(ctx, key("job", 2), lost(t))
		switch {
		case err == nil:
			if again.Fence() <= h.Fence() {
				t.Fatalf("fence %d after %d", again.Fence(), h.Fence())
			}
			taken(t, b, key("job", 1))
			end(t, again, true)
			return
		case !errors.Is(err, sched.ErrTaken):
			t.Fatal(err)
		}
		select {
		case <-ctx.Done():
			t.Fatal(context.Cause(ctx))
		case <-time.After(10 * time.Millisecond): // nothing says when
		}
	}
}

// testContext: who does not want to wait any more has no hold, or has it and
// knows.
func testContext(t *testing.T, open func() Replica, _ time.Duration) {
	a, b := open(), open()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Hold(ctx, key("job", 1), lost(t)); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want what ended the context", err)
	}
	end(t, hold(t, b, key("job", 1)), true)
}
