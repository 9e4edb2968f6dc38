package sched

import (
	"fmt"
	"time"
)

// Until has the instants of t that are before end.
func Until(t Trigger, end time.Time) Trigger { return until{t, end.Round(0), ""} }

// until ends a trigger; wrong says what was wrong with the arguments.
type until struct {
	Trigger
	end   time.Time
	wrong string
}

func (u until) Next(prev time.Time) time.Time {
	if next := u.Trigger.Next(prev); next.Before(u.end) {
		return next
	}
	return time.Time{}
}

func (u until) clip(after, upto time.Time) (Trigger, time.Time, time.Time) {
	if last := u.end.Add(-1); upto.After(last) {
		upto = last
	}
	return u.Trigger, after, upto
}

func (u until) Steady() bool { return steady(u.Trigger) }

func (u until) Check() error {
	if u.wrong != "" {
		return wrong(u.wrong)
	}
	return Check(u.Trigger)
}

// mostTimes is how far Times walks along a trigger that can't count.
const mostTimes = 100_000

// Times has the first n instants of t after from, and no more. It has to know
// from where on to count because a trigger remembers nothing: a program that
// passes the present counts anew when it is started again. The n-th instant is
// looked for here, once; n above 100,000 is refused by Check.
func Times(t Trigger, n int, from time.Time) Trigger {
	switch {
	case t == nil:
		return until{wrong: "there is none"}
	case n < 1 || n > mostTimes:
		return until{Trigger: t, wrong: fmt.Sprintf("%d times, where 1 to %d is possible", n, mostTimes)}
	}
	last := from
	for range n {
		next := t.Next(last)
		if next.IsZero() {
			break
		}
		last = next
	}
	return first{until{t, last.Add(1), ""}, from.Round(0)}
}

// first has nothing before it was begun.
type first struct {
	until
	from time.Time
}

func (f first) Next(prev time.Time) time.Time {
	if prev.Before(f.from) {
		prev = f.from
	}
	return f.until.Next(prev)
}

func (f first) clip(after, upto time.Time) (Trigger, time.Time, time.Time) {
	if after.Before(f.from) {
		after = f.from
	}
	return f.until.clip(after, upto)
}

// Union has the instants of all its triggers; one that several have is one.
func Union(triggers ...Trigger) Trigger { return union(triggers) }

type union []Trigger

func (u union) Next(prev time.Time) (first time.Time) {
	for _, t := range u {
		if next := t.Next(prev); first.IsZero() || !next.IsZero() && next.Before(first) {
			first = next
		}
	}
	return first
}

// Steady if all are: with one of the wall clock in it, it follows that.
func (u union) Steady() bool {
	for _, t := range u {
		if !steady(t) {
			return false
		}
	}
	return len(u) > 0
}

func (u union) Check() error {
	for _, t := range u {
		if err := Check(t); err != nil {
			return err
		}
	}
	if len(u) == 0 {
		return wrong("a union of nothing")
	}
	return nil
}
