package sched

import (
	"errors"
	"time"
)

// A Trigger says when: Next returns the first instant after prev, the zero time
// for never again.
//
//	Every ──┐
//	At    ──┼─► Within ─► Until, Times ─► the Scheduler asks Next(last instant)
//	Cron  ──┤   (a filter) (an end)
//	Union ──┘
//
// It is a function of prev and of nothing else: it keeps no state, and reads no
// clock, so that any goroutine may ask it, replicas agree without speaking to
// each other, and what was missed can be told afterwards. (A Pace is the one
// exception, and says so.) Next(prev) is after
// prev, or zero; and where a <= b, Next(a) <= Next(b) unless that is zero.
// What Next returns carries no monotonic reading. A type of one's own keeps to
// that and is a Trigger like those here; TestTrigger of package schedtest
// checks it.
type Trigger interface {
	Next(prev time.Time) time.Time
}

// A Counter is a Trigger that knows how many instants there are between two
// times without walking along them: that is what makes it cheap to say what was
// missed in an hour of sleep by a job of a millisecond.
type Counter interface {
	// Count returns how many instants are after the first time and not after
	// the second, and the last one of them.
	Count(after, upto time.Time) (n uint64, last time.Time)
}

// A Steady trigger measures time that passes, not what the wall clock shows:
// when somebody sets that, its instants stay where they are on the monotonic
// clock. Every and After are, Cron and At are not; combinations are what they
// are made of.
type Steady interface {
	Steady() bool
}

// A Checker is a Trigger that may have been put together wrongly: a period of 0,
// a window that never opens. Scheduler refuses it with what Check returns.
type Checker interface {
	Check() error
}

// ErrTrigger is what every error about a trigger that makes no sense wraps.
var ErrTrigger = errors.New("sched: trigger")

// Check returns what is wrong with a trigger, nil if nothing is known to be.
func Check(t Trigger) error {
	if t == nil {
		return wrong("there is none")
	}
	if c, ok := t.(Checker); ok {
		return c.Check()
	}
	return nil
}

// wrong is an ErrTrigger with what is wrong.
func wrong(what string) error { return &triggerError{what} }

type triggerError struct{ what string }

func (e *triggerError) Error() string { return ErrTrigger.Error() + ": " + e.what }
func (e *triggerError) Unwrap() error { return ErrTrigger }

func steady(t Trigger) bool {
	s, ok := t.(Steady)
	return ok && s.Steady()
}

// Count returns how many instants of t are after the first time and not after
// the second, and the last one of them. For a Counter that is arithmetic; any
// other trigger is walked along, for at most limit instants: more says that
// there are more, and n and last are those of the walk so far.
func Count(t Trigger, after, upto time.Time, limit uint64) (n uint64, last time.Time, more bool) {
	if c, ok := t.(clipper); ok {
		t, after, upto = c.clip(after, upto)
		return Count(t, after, upto, limit)
	}
	if c, ok := t.(Counter); ok {
		n, last = c.Count(after, upto)
		return n, last, false
	}
	for next := t.Next(after); !next.IsZero() && !next.After(upto); next = t.Next(next) {
		if n == limit {
			return n, last, true
		}
		n, last = n+1, next
	}
	return n, last, false
}

// A clipper has the instants of another trigger in a part of the time.
type clipper interface {
	clip(after, upto time.Time) (of Trigger, from, to time.Time)
}
