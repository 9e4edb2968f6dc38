package sched

import (
	"slices"
	"time"
)

// At fires at these instants of the wall clock, once each, in their order. If
// somebody sets the clock they move with it.
func At(times ...time.Time) Trigger {
	list := make(instants, len(times))
	for i, t := range times {
		list[i] = t.Round(0) // the wall clock's alone
	}
	slices.SortFunc(list, time.Time.Compare)
	return slices.CompactFunc(list, time.Time.Equal)
}

// instants are in order, without two that are equal.
type instants []time.Time

// passed returns how many are not after now.
func (a instants) passed(now time.Time) int {
	i, found := slices.BinarySearchFunc(a, now, time.Time.Compare)
	if found {
		i++
	}
	return i
}

func (a instants) Next(prev time.Time) time.Time {
	if i := a.passed(prev); i < len(a) {
		return a[i]
	}
	return time.Time{}
}

func (a instants) Count(after, upto time.Time) (n uint64, last time.Time) {
	from, to := a.passed(after), a.passed(upto)
	if from >= to {
		return 0, time.Time{}
	}
	return uint64(to - from), a[to-1]
}

func (a instants) Check() error {
	if len(a) == 0 {
		return wrong("no instant")
	}
	if a[0].IsZero() {
		return wrong("the zero time is no instant")
	}
	return nil
}

// After fires once, when d has passed since from: a clock that is set in
// between changes nothing. From is the present of the clock that the Scheduler
// runs on, commonly time.Now().
func After(from time.Time, d time.Duration) Trigger {
	return after{At(from.Add(d)).(instants)}
}

type after struct{ instants }

func (after) Steady() bool { return true }
