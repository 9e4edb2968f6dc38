package sched

import (
	"slices"
	"time"
)

// At fires at these instants of the wall clock, once each, in their order. If
// somebody sets the clock they move with it.
func At(instants ...time.Time) Trigger {
	list := make(at, len(instants))
	for i, t := range instants {
		list[i] = t.Round(0) // the wall clock's alone
	}
	slices.SortFunc(list, time.Time.Compare)
	return slices.CompactFunc(list, time.Time.Equal)
}

// at is in order, without two that are equal.
type at []time.Time

// passed returns how many are not after now.
func (a at) passed(now time.Time) int {
	i, found := slices.BinarySearchFunc(a, now, time.Time.Compare)
	if found {
		i++
	}
	return i
}

func (a at) Next(prev time.Time) time.Time {
	if i := a.passed(prev); i < len(a) {
		return a[i]
	}
	return time.Time{}
}

func (a at) Count(after, upto time.Time) (n uint64, last time.Time) {
	from, to := a.passed(after), a.passed(upto)
	if from >= to {
		return 0, time.Time{}
	}
	return uint64(to - from), a[to-1]
}

func (a at) Check() error {
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
	return after{At(from.Add(d)).(at)}
}

type after struct{ at }

func (after) Steady() bool { return true }
