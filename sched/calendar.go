package sched

import "time"

// A Window is a part of each day of the wall clock, such as business hours.
// From and To are what the clock shows, so that a day on which it is set is not
// an exception: 9 to 17 is 9 to 17.
type Window struct {
	// Days are the weekdays on which the window begins. None: all.
	Days []time.Weekday

	// From is when it opens and To when it closes, in hours of the day: 9 *
	// time.Hour. What is at From is in it, what is at To is not. With To at From
	// or before it ends on the next day: 22 h to 4 h is a night, and 0 to 0 a
	// whole day.
	From, To time.Duration

	// Zone is where. Nil: UTC.
	Zone *time.Location

	// Closed are days without a window, such as holidays: on that date, as
	// year, month and day in Zone, none begins. It gives the same answer each
	// time and may be called from any goroutine. Nil: no day is.
	Closed func(year int, month time.Month, day int) bool
}

// Weekdays are Monday to Friday.
func Weekdays() []time.Weekday {
	return []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}
}

func (w Window) check() error {
	const day = 24 * time.Hour
	if w.From < 0 || w.From >= day || w.To < 0 || w.To > day {
		return wrong("a window is from 0 to 24 h")
	}
	for _, d := range w.Days {
		if d < time.Sunday || d > time.Saturday {
			return wrong("a window's days are from Sunday to Saturday")
		}
	}
	return nil
}

// begins says whether a window begins on that day.
func (w Window) begins(year int, month time.Month, day int) bool {
	if w.Closed != nil && w.Closed(year, month, day) {
		return false
	}
	if len(w.Days) == 0 {
		return true
	}
	weekday := time.Date(year, month, day, 12, 0, 0, 0, time.UTC).Weekday()
	for _, d := range w.Days {
		if d == weekday {
			return true
		}
	}
	return false
}

// clock is the wall clock's instant at that hour of that day in Zone. What is in
// a gap of it is the end of the gap.
func (w Window) clock(year int, month time.Month, day int, at time.Duration) time.Time {
	zone := w.Zone
	if zone == nil {
		zone = time.UTC
	}
	seconds, rest := int(at/time.Second), int(at%time.Second)
	t := time.Date(year, month, day, 0, 0, seconds, rest, zone)
	_, offset := t.Zone()
	asked := time.Date(year, month, day, 0, 0, seconds, rest, time.UTC)
	start, end := t.ZoneBounds()
	switch shown := t.Add(time.Duration(offset) * time.Second); { // in a gap package time goes to either side
	case shown.Before(asked) && !end.IsZero():
		return end
	case shown.After(asked) && !start.IsZero():
		return start
	}
	return t
}

// searched is how many days are looked at for one on which a window begins.
const searched = 366 * 2

// open returns t if it is in a window, or else when the next one opens; zero if
// none does within two years.
func (w Window) open(t time.Time) time.Time {
	zone := w.Zone
	if zone == nil {
		zone = time.UTC
	}
	year, month, day := t.In(zone).Date()
	to := w.To
	if to <= w.From {
		to += 24 * time.Hour
	}
	for i := -1; i < searched; i++ { // yesterday's may be open still
		// Dates beyond a month's end are brought in order by package time.
		y, m, d := time.Date(year, month, day+i, 12, 0, 0, 0, time.UTC).Date()
		if !w.begins(y, m, d) {
			continue
		}
		from := w.clock(y, m, d, w.From)
		switch {
		case t.Before(from):
			return from
		case t.Before(w.clock(y, m, d, to)):
			return t
		}
	}
	return time.Time{}
}

// Within has the instants of t that are in one of the windows; those outside
// are left out and not moved. (For a run in the next window instead of none, let
// the job wait there: pause its queue.) It gives up after a thousand windows in
// a row without an instant of t in them.
func Within(t Trigger, windows ...Window) Trigger { return within{t, windows} }

type within struct {
	Trigger
	windows []Window
}

const mostWindows = 1000

func (w within) Next(prev time.Time) time.Time {
	for range mostWindows {
		next := w.Trigger.Next(prev)
		if next.IsZero() {
			return next
		}
		open := w.open(next)
		if open.Equal(next) || open.IsZero() {
			return open
		}
		prev = open.Add(-1) // the next is at the opening, or after it
	}
	return time.Time{}
}

// open is the first of the windows'.
func (w within) open(t time.Time) (first time.Time) {
	for _, window := range w.windows {
		if open := window.open(t); first.IsZero() || !open.IsZero() && open.Before(first) {
			first = open
		}
	}
	if first.Equal(t) {
		return t // in the trigger's zone, not the window's
	}
	return first
}

func (w within) Steady() bool { return steady(w.Trigger) }

func (w within) Check() error {
	for _, window := range w.windows {
		if err := window.check(); err != nil {
			return err
		}
	}
	if len(w.windows) == 0 {
		return wrong("within no window")
	}
	return Check(w.Trigger)
}
