// Package schedtest is for tests of what runs on package sched: a clock that is
// turned by hand, and suites that tell whether a Trigger, a Guard or a State is
// one.
package schedtest

import (
	"errors"
	"sync"
	"time"

	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/timer"
)

// Clock is a sched.Clock that stands still until a test turns it. What is due is
// decided before Advance returns; the bodies run on the Scheduler's goroutines,
// for which Scheduler.Wait waits.
//
//	s, _ := sched.New(sched.Config{Clock: clock})
//	...
//	clock.Advance(time.Hour)  // as an hour that passes: all instants in their order
//	clock.Stall(time.Hour)    // as a process that was stopped: all of them at its end
//	clock.Set(time.Hour)      // as somebody who sets the wall clock
//
// Give the Scheduler no least time between two wake-ups (Config.Apart below 0), or
// what comes right after something else waits for a clock that stands still.
//
// It serves one Scheduler. Its methods may be called from any goroutine, but for
// those that turn it not from inside what they call, a trigger for instance.
type Clock struct {
	turning sync.Mutex // held while wake or stepped is called

	mu      sync.Mutex
	now     timer.Time
	wall    time.Time
	at      timer.Time
	wake    func()
	stepped func()
	closed  bool
}

var _ sched.Clock = (*Clock)(nil)

var errStarted = errors.New("schedtest: a clock serves one scheduler")

// NewClock returns one whose wall clock shows that.
func NewClock(wall time.Time) *Clock {
	return &Clock{now: timer.Time(time.Hour), wall: wall.Round(0), at: timer.Never}
}

// Now implements sched.Clock.
func (c *Clock) Now() timer.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Wall implements sched.Clock.
func (c *Clock) Wall() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

// Start implements sched.Clock.
func (c *Clock) Start(wake, stepped func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wake != nil || c.closed {
		return errStarted
	}
	c.wake, c.stepped = wake, stepped
	return nil
}

// Wake implements sched.Clock. An instant that is past is due in the next
// Advance, be it of 0.
func (c *Clock) Wake(at timer.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// Close implements sched.Clock. The clock may be turned afterwards, and calls
// nobody.
func (c *Clock) Close() error {
	c.turning.Lock() // whoever is called has returned
	defer c.turning.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

// Advance lets d pass. The Scheduler is woken at each instant that it asked for
// on the way, and the clock shows that instant meanwhile.
func (c *Clock) Advance(d time.Duration) {
	c.turning.Lock()
	defer c.turning.Unlock()
	for end := c.Now().Add(d); ; {
		wake, at := c.next(end)
		if wake == nil {
			c.pass(end.Sub(c.Now()))
			return
		}
		c.pass(max(0, at.Sub(c.Now())))
		wake()
	}
}

// Stall lets d pass with nobody awake, as SIGSTOP does: the Scheduler is woken
// once, at its end, if anything is due by then.
func (c *Clock) Stall(d time.Duration) {
	c.turning.Lock()
	c.pass(d)
	c.turning.Unlock()
	c.Advance(0)
}

// Set sets the wall clock forward by d, or back, and tells the Scheduler. The
// monotonic clock stays: so it is for one that does not count suspension when
// the machine was suspended for d.
func (c *Clock) Set(d time.Duration) {
	c.turning.Lock()
	c.mu.Lock()
	c.wall = c.wall.Add(d)
	stepped := c.stepped
	if c.closed {
		stepped = nil
	}
	c.mu.Unlock()
	if stepped != nil {
		stepped()
	}
	c.turning.Unlock()
	c.Advance(0)
}

// next takes the instant that is asked for, if it is not after end, and returns
// whom to call; nil if there is nobody.
func (c *Clock) next(end timer.Time) (wake func(), at timer.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at > end || c.closed || c.wake == nil {
		return nil, 0
	}
	at, c.at = c.at, timer.Never
	return c.wake, at
}

// pass moves both clocks on.
func (c *Clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.wall = c.wall.Add(d)
}
