package sched

import "time"

// What a wall clock shows, and what passes, in a zone that sets its clocks
// forward and back by an hour:
//
//	shown  ···─ 1:00 ── 2│3:00 ── 4:00 ─···─ 1:00 ── 2:00 ── 3│2:00 ── 3:00 ─···
//	                     gap                          ▲ first  second ▲
//	era    ──── before ──┼──────────── one ───────────────────┼────── the next ──
//
// Within an era the two go alike, so a cron expression is looked for on a clock
// that nobody sets, and what is found there counts if it is within the era.

// An era is a time during which a zone's clocks were not set.
type era struct {
	start, end int64 // seconds from 1970; each false if there is none
	starts     bool
	ends       bool
	offset     int64 // what the clock shows beyond UTC
	before     int64 // and what it showed in the era before
}

// eraAt returns the one that an instant is in.
func eraAt(sec int64, zone *time.Location) (e era) {
	t := time.Unix(sec, 0).In(zone)
	_, offset := t.Zone()
	e.offset, e.before = int64(offset), int64(offset)
	start, end := t.ZoneBounds()
	if e.starts = !start.IsZero(); e.starts {
		e.start = start.Unix()
		_, before := start.Add(-time.Second).Zone()
		e.before = int64(before)
	}
	if e.ends = !end.IsZero(); e.ends {
		e.end = end.Unix()
		if e.end <= sec {
			// Where the rules of a zone go on for ever package time also ends an
			// era with the year, of which it takes the last day of a leap year
			// to be the next one's.
			e.end = time.Date(t.UTC().Year()+1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
		}
	}
	return e
}

// forward is how far the clocks were set when the era began.
func (e era) forward() int64 { return e.offset - e.before }

// correction is the shift from which on it is not summer time but the calendar
// that changed.
const correction = 3 * 3600

// mostEras bounds the search: 41 years of four eras and more.
const mostEras = 300

// Next implements Trigger. Its instants are full seconds, in the range of Instant.
func (c *cron) Next(prev time.Time) time.Time {
	sec := max(prev.Unix()+1, earliest.Unix()+1)
	for range mostEras {
		if sec >= latest.Unix() {
			break
		}
		e := eraAt(sec, c.zone)
		if c.inGap(e, sec) {
			return time.Unix(e.start, 0).In(c.zone)
		}
		wall, ok := c.wall(c.begin(e, sec))
		if !ok {
			break
		}
		at := wall - e.offset
		if at >= latest.Unix() {
			break
		}
		if !e.ends || at < e.end {
			return time.Unix(at, 0).In(c.zone)
		}
		sec = e.end
	}
	return time.Time{}
}

// inGap says whether a time of day was left out when the era began, which is
// now.
func (c *cron) inGap(e era, sec int64) bool {
	if c.wild || !e.starts || sec != e.start || e.forward() <= 0 || e.forward() >= correction {
		return false
	}
	wall, ok := c.wall(e.start + e.before)
	return ok && wall < e.start+e.offset
}

// begin is from where on the wall clock is looked at: a time of day that comes
// for the second time does not count.
func (c *cron) begin(e era, sec int64) int64 {
	wall := sec + e.offset
	if !c.wild && e.starts && e.forward() < 0 && e.forward() > -correction {
		wall = max(wall, e.start+e.before)
	}
	return wall
}
