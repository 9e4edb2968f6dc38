package sched

import (
	"time"
)

// longWalk is how many instants of a trigger that can't count are walked along for
// one decision. What is left is decided in the next one, right after it.
const longWalk = 10_000

// A plan says what becomes of what is due of a task: of the instant that its
// timer stood for and all that have come since. Each of them is either in the
// span that is given up, or the one that is run, or it is left for later.
//
//	at                                    now
//	┼──┼──┼──┼──┼──┼──┼──┼──┼──┼──┼──┼──┼──·──┼
//	└───── given up ─────┘  └ run ┘└ next ...    CatchUp
//	└──────────── coalesced ────────────┘└ run┘  └ next   FireOnce
type plan struct {
	lost   Outcome // of the span
	why    Reason
	first  Instant // of the span
	last   Instant
	count  uint64        // of the span, 0: none
	carry  bool          // the span counts as missed by a run that is decided later
	run    Instant       // 0: none
	next   Instant       // 0: never
	after  time.Duration // what is later than this is a misfire
	behind bool          // more is due: what is left waits until the run has ended
	pace   time.Duration // and so long
	early  bool          // it is not due yet
	failed error         // what the trigger panicked with
}

// give puts instants into the span.
func (p *plan) give(o Outcome, why Reason, first, last Instant, n uint64) {
	p.lost, p.why, p.first, p.last, p.count = o, why, first, last, n
}

// following is the trigger's next instant, 0 for none. One that does not keep to
// what a Trigger promises ends there, and does not keep us here.
func following(t Trigger, prev Instant) Instant {
	if t == nil {
		return 0
	}
	next := InstantOf(t.Next(prev.Time()))
	if next <= prev {
		return 0
	}
	return next
}

// plan decides about the instant at and those up to now.
func (m *Misfire) plan(t Trigger, at, now Instant) plan {
	p := plan{next: following(t, at)}
	p.after = m.tolerance(at, p.next)
	if p.next != 0 && p.next <= now {
		m.several(&p, t, at, now)
		return p
	}
	late := time.Duration(now - at)
	if m.Policy == SkipMissed && late > p.after || m.Policy == CatchUp && late > m.Window {
		p.give(Skipped, Missed, at, at, 1)
		return p
	}
	p.run = at
	return p
}

// giveUp is a plan for what is due of which nothing is to be run.
func giveUp(t Trigger, at, now Instant) (p plan) {
	defer func() {
		if recover() != nil { // its end: what it was asked for before counts
			p = plan{}
			p.give(Skipped, Missed, at, at, 1)
		}
	}()
	m := Misfire{Policy: SkipMissed, After: 1}
	p = m.plan(t, at, now)
	return p.all(Skipped, Missed)
}

// all is the plan with what is run in the span, too.
func (p *plan) all(o Outcome, why Reason) plan {
	x := *p
	x.lost, x.why, x.carry = o, why, false
	if x.run != 0 {
		x.count++
		x.last, x.run = x.run, 0
		if x.first == 0 {
			x.first = x.last
		}
	}
	return x
}

// tolerance is how late an instant may be.
func (m *Misfire) tolerance(at, next Instant) time.Duration {
	if m.After > 0 {
		return m.After
	}
	period := time.Duration(0)
	if next != 0 {
		period = time.Duration(next - at)
	}
	return max(time.Second, period/10)
}

// several decides where more than one instant is due.
func (m *Misfire) several(p *plan, t Trigger, at, now Instant) {
	n, lastTime, more := Count(t, at.Time(), now.Time(), longWalk)
	last := InstantOf(lastTime)
	if n == 0 || last <= at { // not what Next says
		p.run, p.next = at, 0
		return
	}
	if m.Policy == CatchUp {
		m.catchUp(p, t, at, now, n+1, more)
		return
	}
	p.next = following(t, last)
	switch {
	case more:
		p.give(Coalesced, Missed, at, last, n+1)
		p.carry = m.Policy == FireOnce
	case m.Policy == SkipMissed && time.Duration(now-last) > p.after:
		p.give(Coalesced, Missed, at, last, n+1)
	default:
		_, before, _ := Count(t, at.Time(), last.Time().Add(-1), longWalk)
		p.give(Coalesced, Missed, at, max(InstantOf(before), at), n)
		p.run = last
	}
	if m.Policy == SkipMissed {
		p.lost = Skipped
	}
}

// catchUp gives up what is too old or too much of n instants, or more, and runs
// the first one of the rest.
func (m *Misfire) catchUp(p *plan, t Trigger, at, now Instant, n uint64, more bool) {
	drop := uint64(0)
	if n > uint64(m.Most) {
		drop = n - uint64(m.Most)
	}
	if old := now - Instant(m.Window); at < old {
		k, _, _ := Count(t, at.Time(), old.Time().Add(-1), longWalk)
		drop = max(drop, k+1)
	}
	p.run = at
	if drop > 0 {
		last := nth(t, at, now, drop-1)
		p.give(Skipped, Missed, at, last, drop)
		p.run = following(t, last)
	}
	if p.run == 0 || p.run > now || more && drop > 0 { // all of them, so far
		p.run, p.next = 0, p.run
		return
	}
	p.next = following(t, p.run)
	p.behind = p.next != 0 && p.next <= now
	if p.behind {
		p.pace = m.Pace
	}
}

// nth returns the k-th instant after at, which is not after now. A trigger that
// can count is asked some sixty times at most.
func nth(t Trigger, at, now Instant, k uint64) Instant {
	if k <= longWalk {
		for range k {
			at = following(t, at)
		}
		return at
	}
	low, high := at, now // the k-th one is after low, and not after high
	for high-low > 1 {
		mid := low + (high-low)/2
		if n, _, _ := Count(t, at.Time(), mid.Time(), longWalk); n < k {
			low = mid
		} else {
			high = mid
		}
	}
	_, last, _ := Count(t, at.Time(), high.Time(), longWalk)
	return InstantOf(last)
}
