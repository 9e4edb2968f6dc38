package sched

import (
	"runtime"
	"sync"
	"time"

	"github.com/weir-go/weir/timer"
)

// A Clock tells the time to one Scheduler and wakes it. Without one a Scheduler
// makes its own on a timer.Clock; package schedtest has one that tests turn by
// hand.
//
//	                 ┌── Now, Wall ◄── the Scheduler
//	timer.Clock ─────┤
//	 or a test's     ├── wake    ──►  what is due is decided
//	                 └── stepped ──►  somebody has set the wall clock
type Clock interface {
	// Now is the present on the monotonic clock. It never goes back.
	Now() timer.Time

	// Wall is what the wall clock shows.
	Wall() time.Time

	// Start is called once, before Wake. From then on the clock calls wake at
	// the instant that Wake was last given or soon after it, and stepped after
	// the wall clock was set, on a goroutine that may call all other methods. A
	// wake too many does no harm. Not while it holds a lock.
	Start(wake, stepped func()) error

	// Wake sets the one instant at which wake is called, in place of the one
	// before. timer.Never: none. One that is past is due at once. It is called
	// by any goroutine, and from inside wake; it must not call wake itself.
	Wake(at timer.Time)

	// Close ends the clock: neither function is called once it has returned, and
	// calls that run are waited for. It is not called from inside them.
	Close() error
}

// realClock is a Clock on a timer.Clock of its own, which calls back on its own
// goroutine: between the instant and the decision no other one has to be woken.
//
// That sleeps in the kernel, and each time the runtime first has to notice and
// then to find a P for it: some 50 µs of processor time where there are few Ps.
// So when wake-ups come about as often as Apart lets them, a Coarse clock uses the
// runtime's own timers, which cost a tenth and are late by up to a millisecond.
type realClock struct {
	cfg   timer.ClockConfig
	clock *timer.Clock
	alarm *timer.Alarm
	soon  *time.Timer
	near  time.Duration // what is less far away is for soon

	calls  sync.Mutex // held while wake is called by soon
	closed bool       // guarded by calls
}

// newRealClock returns one that is not started, for wake-ups that are so far
// apart.
func newRealClock(cfg timer.ClockConfig, apart time.Duration) *realClock {
	c := &realClock{cfg: cfg}
	if cfg.Precision == timer.Coarse {
		c.near = 2 * apart
	}
	return c
}

// inline is a Pool of no goroutines.
type inline struct{}

func (inline) Submit(f func()) error { f(); return nil }

// farAway is an alarm that is set, but not for anything: some 100 years.
const farAway = 100 * 365 * 24 * time.Hour

func (c *realClock) Start(wake, stepped func()) error {
	c.cfg.Pool = inline{}
	ready := make(chan struct{}) // a step may be seen before this has returned
	defer close(ready)
	c.cfg.Stepped = func(timer.Step) {
		<-ready
		stepped()
	}
	clock, err := timer.NewClock(c.cfg)
	if err != nil {
		return err
	}
	c.clock = clock
	c.alarm = clock.AfterFunc(farAway, func() {
		wake()
		runtime.Gosched() // or who was readied would wait until the runtime takes away the P that this sleeps with
	})
	c.soon = time.AfterFunc(farAway, func() {
		c.calls.Lock()
		defer c.calls.Unlock()
		if !c.closed {
			wake()
		}
	})
	return nil
}

func (c *realClock) Now() timer.Time { return c.clock.Now() }

func (c *realClock) Wall() time.Time { return time.Now().Round(0) }

func (c *realClock) Wake(at timer.Time) {
	d := min(at.Sub(c.clock.Now()), farAway)
	if d < c.near {
		c.soon.Reset(d)
		c.alarm.Stop()
		return
	}
	c.soon.Stop()
	c.alarm.Reset(d)
}

func (c *realClock) Close() error {
	c.soon.Stop()
	c.calls.Lock()
	c.closed = true
	c.calls.Unlock()
	return c.clock.Close()
}
