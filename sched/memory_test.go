package sched_test

import (
	"testing"

	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/sched/schedtest"
)

func TestMemoryState(t *testing.T) {
	schedtest.TestState(t, func(*testing.T) sched.State { return new(sched.MemoryState) })
}

func TestMemoryGuard(t *testing.T) {
	schedtest.TestGuard(t, schedtest.Guards{Open: func(*testing.T) func() schedtest.Replica {
		g := new(sched.MemoryGuard)
		return func() schedtest.Replica { return schedtest.Replica{Guard: g} }
	}})
}

func TestMemoryIsBounded(t *testing.T) {
	g, s := &sched.MemoryGuard{Limit: 2}, &sched.MemoryState{Limit: 2}
	key := func(n int) sched.Key { return sched.Key{Job: "a", Instant: sched.Instant(n)} }
	for i := range 3 {
		h, err := g.Hold(t.Context(), key(i), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.End(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	for i, taken := range []bool{false, true, true} {
		if _, err := g.Hold(t.Context(), key(i), nil); (err != nil) != taken {
			t.Errorf("%d: %v", i, err)
		}
	}
	for i, name := range []string{"a", "b", "c"} {
		if _, err := s.Begin(t.Context(), name, 1); (err != nil) != (i == 2) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
