package timer

import (
	"sync/atomic"
	"time"
)

// Three clocks, and how they part:
//
//	monotonic  ──────────────┐suspended┌──────────────────────   Now
//	boot time  ────────────────────────────────────────────────  Now + boot
//	wall time  ────────┐ ┌─────────────────┐ ┌─────────────────  Now + wall
//	                   set                 set
//
// A Clock keeps the two distances and measures durations and instants on Now.
// They change only when somebody sets the wall clock or the machine wakes up:
// slewing, as NTP does it, moves all three alike. Linux says so at once (see
// watch_linux.go); elsewhere the clock looks once a second as long as it
// matters to anyone.

// Base is the clock that durations are measured on. The zero value is
// Monotonic.
type Base uint8

const (
	// Monotonic does not count the time that the machine is suspended: a minute
	// is a minute of running.
	Monotonic Base = iota

	// Boottime counts it: a lease of a minute is over when the machine wakes up
	// an hour later, and its timer fires then. It is there on Linux and macOS;
	// elsewhere a clock is Monotonic and Stats says so.
	Boottime
)

// String returns the name in lower case.
func (b Base) String() string {
	if b == Boottime {
		return "boottime"
	}
	return "monotonic"
}

// Step is a change of the clocks that is not time passing.
type Step struct {
	At        Time          // when it was noticed, as timer.Now counts
	Wall      time.Duration // how far the wall clock was set forward; back, if negative
	Suspended time.Duration // how long the machine was suspended
}

// offsets are the distances from Now to the other clocks.
type offsets struct {
	base Base
	boot atomic.Int64 // 0 for a clock that is Monotonic
	wall atomic.Int64

	// Owned by the clock's goroutine.
	from  sources
	slept time.Duration // suspended, since the machine was started
}

// sources are where a clock learns of other clocks. Tests have their own.
type sources struct {
	wall  func() time.Duration // the distance from Now to the wall clock
	slept func() time.Duration // how long the machine was suspended
	bell  bool                 // ask the kernel to tell
	every time.Duration        // how often to look otherwise
}

func (o *offsets) init(base Base, from sources) {
	if knowsSuspend {
		o.base = base
	}
	o.from = from
	o.slept = from.slept()
	o.wall.Store(int64(from.wall()))
}

// wallAhead is the distance from Now to the wall clock.
func wallAhead() time.Duration {
	return largest(func() time.Duration {
		t := time.Now()
		return time.Duration(t.UnixNano() - int64(t.Sub(base)) - 1)
	})
}

// largest asks a few times for the distance between two clocks. The one that is
// ahead is read first: who is interrupted between the two finds too little.
func largest(distance func() time.Duration) time.Duration {
	d := distance()
	for range 3 {
		d = max(d, distance())
	}
	return d
}

// measure reads the clocks again and returns how they moved. The time that the
// machine was suspended is no setting of the wall clock.
func (o *offsets) measure() (s Step) {
	slept, wall := o.from.slept(), o.from.wall()
	s.At = Now()
	s.Suspended = slept - o.slept
	s.Wall = wall - time.Duration(o.wall.Load()) - s.Suspended
	o.slept = slept
	if o.base == Boottime {
		o.boot.Add(int64(s.Suspended))
	}
	o.wall.Store(int64(wall))
	return s
}

// ahead is the distance from Now to the wall clock, or to what the clock
// measures durations on.
func (c *Clock) ahead(wall bool) time.Duration {
	if wall {
		return time.Duration(c.offsets.wall.Load())
	}
	return time.Duration(c.offsets.boot.Load())
}

// wallNow is the wall clock, in nanoseconds since 1970.
func (c *Clock) wallNow() Time { return Now().Add(c.ahead(true)) }

// noticed is the least that counts as a step where it was not the kernel that
// said so: what comes of two readings that were not quite at once is less.
const noticed = 5 * time.Millisecond

// look measures the clocks again if they were set, or if it is time to see
// whether they were.
func (c *Clock) look() {
	told := c.rang && c.watch.bell.rang()
	c.rang = false
	if !told && !c.watch.due(Now()) {
		return
	}
	s := c.offsets.measure()
	if !told && s.Wall.Abs() < noticed && s.Suspended.Abs() < noticed {
		return
	}
	c.count.steps.Add(1)
	if s.Suspended >= noticed {
		c.count.suspends.Add(1)
		c.count.suspended.Add(int64(s.Suspended))
	}
	c.aligned.realign()
	if c.cfg.Stepped != nil {
		c.stepped(s)
	}
}

// stepped tells of it.
func (c *Clock) stepped(s Step) {
	defer c.caught()
	c.cfg.Stepped(s)
}

// care says that somebody relies on the wall clock or on Boottime from now on.
func (c *Clock) care() {
	if c.watch.rings || c.watch.cares.Swap(true) {
		return
	}
	c.hurry(0) // the goroutine sleeps without an end, perhaps
}
