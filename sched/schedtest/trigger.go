package schedtest

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
)

// TestTrigger tests whether a Trigger keeps to what sched.Trigger says, for the
// time from an instant on. It asks a few thousand times.
func TestTrigger(t *testing.T, trigger sched.Trigger, from time.Time) {
	t.Helper()
	if err := sched.Check(trigger); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	prev := from
	for range 500 {
		next := trigger.Next(prev)
		if again := trigger.Next(prev); !again.Equal(next) {
			t.Fatalf("after %v comes %v, and then %v", prev, next, again)
		}
		if next.IsZero() {
			if after := trigger.Next(prev.Add(1000 * time.Hour)); !after.IsZero() {
				t.Fatalf("nothing after %v, but %v later", prev, after)
			}
			break
		}
		if !next.After(prev) {
			t.Fatalf("after %v comes %v", prev, next)
		}
		if next != next.Round(0) {
			t.Fatalf("%v has a monotonic reading", next)
		}
		// From anywhere between the two it is the same one.
		between := prev.Add(time.Duration(r.Int64N(int64(next.Sub(prev)))))
		if same := trigger.Next(between); !same.Equal(next) {
			t.Fatalf("seed %d: after %v comes %v, but after %v %v", seed, prev, next, between, same)
		}
		prev = next
	}
	testCount(t, trigger, from, prev)
}

// testCount compares Count with a walk.
func testCount(t *testing.T, trigger sched.Trigger, from, to time.Time) {
	t.Helper()
	c, ok := trigger.(sched.Counter)
	if !ok {
		return
	}
	var want uint64
	var end time.Time
	for next := trigger.Next(from); !next.IsZero() && !next.After(to); next = trigger.Next(next) {
		want, end = want+1, next
	}
	if n, last := c.Count(from, to); n != want || !last.Equal(end) {
		t.Fatalf("from %v to %v: Count says %d, the last %v; there are %d, the last %v", from, to, n, last, want, end)
	}
	if n, last := c.Count(to, from); n != 0 || !last.IsZero() {
		t.Fatalf("Count backwards: %d, %v", n, last)
	}
}
