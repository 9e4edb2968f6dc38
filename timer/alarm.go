package timer

import (
	"context"
	"math"
	"time"
)

// An Alarm is a timer of a Clock, for code that would hold a time.Timer. Its
// methods may be called by any goroutine. It differs from a time.Timer in this:
//
//   - One that is set is kept by its clock: it is collected some time after it
//     fired or was stopped (see Heap.Stop), not before.
//   - C has room for one value, where the length and capacity of a time.Timer's
//     channel read 0. As there, no value of before is received after Stop or
//     Reset has returned.
//   - A function that the clock's Pool refused is kept and handed over later.
//     It counts as begun: Stop comes too late for it.
//   - On a clock that was closed it does not fire any more.
type Alarm struct {
	// C receives the time when the Alarm fires. It is nil for one that calls a
	// function.
	C <-chan time.Time

	timer Timer
	shard *shard
	f     func()
}

// withChannel is an Alarm that sends. Apart, because a function's is most of
// them, and fits in 64 bytes without it.
type withChannel struct {
	Alarm
	c chan time.Time
}

// AfterFunc runs f once d has passed, by the clock's Pool or on a goroutine of
// its own, unless the Alarm is stopped before. A Reset after that runs it again.
func (c *Clock) AfterFunc(d time.Duration, f func()) *Alarm {
	a := &Alarm{f: f}
	a.shard = c.pick(&a.timer)
	a.timer.Init(a)
	a.shard.arm(&a.timer, a.shard.now().Add(d))
	return a
}

// At runs f as AfterFunc does, once the wall clock shows t: if it is set
// forward past t, then at once, and if it is set back, then that much later.
// The Alarm's Reset counts from the wall clock's present.
func (c *Clock) At(t time.Time, f func()) *Alarm {
	c.care()
	a := &Alarm{shard: c.wall(), f: f}
	a.timer.Init(a)
	a.shard.arm(&a.timer, sinceEpoch(t))
	return a
}

// sinceEpoch is an instant of the wall clock's shard. It stops at the ends of the
// range, which are the years 1677 and 2262: a date that stands for "never" does
// not come at once.
func sinceEpoch(t time.Time) Time {
	switch s := t.Unix(); {
	case s >= math.MaxInt64/int64(time.Second):
		return Never
	case s <= math.MinInt64/int64(time.Second):
		return math.MinInt64
	}
	return Time(t.UnixNano())
}

// NewTimer returns an Alarm that sends the time on its C once d has passed.
func (c *Clock) NewTimer(d time.Duration) *Alarm {
	a := &withChannel{c: make(chan time.Time, 1)}
	a.C = a.c
	a.shard = c.pick(&a.timer)
	a.timer.Init(a)
	a.shard.arm(&a.timer, a.shard.now().Add(d))
	return &a.Alarm
}

// After returns the channel of a NewTimer.
func (c *Clock) After(d time.Duration) <-chan time.Time { return c.NewTimer(d).C }

// Stop keeps the Alarm from firing. It reports whether it was active: if not, it
// has fired, or was stopped before. It does not wait for a function that runs
// already. One with a channel is active until its value was received, as a
// time.Timer is since Go 1.23.
func (a *Alarm) Stop() bool {
	s := a.shard
	s.mu.Lock()
	was := s.heap.Stop(&a.timer)
	sent := a.forget()
	s.mu.Unlock()
	return was || sent
}

// Reset lets the Alarm fire once d has passed from now, whether or not it has
// fired before, and reports whether it was active.
func (a *Alarm) Reset(d time.Duration) bool {
	s := a.shard
	when := s.now().Add(d)
	s.mu.Lock()
	if s.shut {
		s.mu.Unlock()
		return false
	}
	was := a.timer.Active()
	sent := a.forget()
	s.heap.Set(&a.timer, when)
	s.armed(when)
	return was || sent
}

// forget takes back what was sent and not received, and reports whether there
// was anything. Called with the shard's lock, under which it was sent, too.
func (a *Alarm) forget() bool {
	if a.C == nil { // a function's: a select costs 3 ns to find that out, of Stop's 16
		return false
	}
	select {
	case <-a.C:
		return true
	default:
		return false
	}
}

// Fire collects the Alarm. For its shard.
func (a *Alarm) Fire(Time) {
	if !a.shard.shut {
		a.shard.due = append(a.shard.due, a)
	}
}

// Fire sends at once: under the lock, so that Stop can take it back. There is
// room, for nobody else sends and Reset empties it, unless somebody has set C to
// something else: a value is lost then, and not the clock.
func (a *withChannel) Fire(Time) {
	if a.shard.shut {
		return
	}
	a.shard.clock.count.fired.Add(1)
	select {
	case a.c <- time.Now():
	default:
	}
}

// run hands the function over.
func (a *Alarm) run() {
	c := a.shard.clock
	c.count.fired.Add(1)
	c.backlog.submit(a.f)
}

// Sleep returns nil once d has passed, or what ended it before: the context's
// cause, or ErrClockClosed.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	a := c.NewTimer(d)
	select {
	case <-a.C:
		return nil
	case <-c.ended:
		return ErrClockClosed
	case <-ctx.Done():
		a.Stop()
		return context.Cause(ctx)
	}
}
