package timer

import "time"

// How the clock's goroutine waits.
//
//	Coarse  ├──────────────────────────────────────────┤ ···late
//	Fine    ├───────────────────────────────┼──────────┤ ·late
//	Exact   ├───────────────────────────────┼─────┤~~~~┤
//	                                       lead   spin  instant
//
// ─ is a wait of the poller, ~ a loop that reads the clock.

// rest waits until the instant, or until somebody set an earlier one or woke
// the goroutine for another reason.
func (c *Clock) rest(next Time) {
	now := Now()
	slept := now < next // otherwise it was past when it was set
	spin := c.spin(next.Sub(now))
	for ; now < next && c.until.Load() != awake && !c.closing.Load(); now = Now() {
		left := next.Sub(now)
		switch first := early(left - spin); {
		case next == Never:
			c.sleep(-1, Never)
		case c.cfg.Precision >= Fine && first > 0:
			c.sleep(first, Never)
		case left > spin:
			c.sleep(left-spin, next.Add(-spin))
		default:
			c.whirl(next)
		}
	}
	if now.Sub(c.asked) > stale {
		c.sleep(0, Never)
		c.wakeup.late /= 2
	}
	c.woke = now
	if slept && now >= next {
		c.count.late.Add(now.Sub(next))
	}
}

// stale is for how long the clock goes on without a wait of the poller, when
// something is due all the time or the waits are so short that they are spun.
// Then it asks once, for it would not hear of a wall clock that is set; and as
// nothing was learnt of wake-ups meanwhile, less is made of what was known: or it
// would spin for ever, after one that was late.
const stale = 100 * time.Millisecond

// early returns how long a first sleep may last, so that there is room for a
// second one until left is over; 0 when there is not. Besides what a wake-up
// takes, epoll is late by up to a thousandth of its timeout, whatever the thread's
// slack (the kernel's select_estimate_accuracy). A long wait so takes more than
// two steps, each a five hundredth of the one before.
func early(left time.Duration) time.Duration {
	if left <= 2*lead {
		return 0
	}
	return left - left/500 - lead
}

// spin is how long before an instant the sleep ends: as long as wake-ups were
// late, or, out of a long sleep, a fiftieth of it, which costs next to nothing.
func (c *Clock) spin(rest time.Duration) time.Duration {
	if c.cfg.Precision < Exact {
		return 0
	}
	return min(max(c.wakeup.late+c.wakeup.late/4+5*time.Microsecond, rest/50), c.cfg.Spin)
}

// sleep is one wait. If the instant is given at which it should end, it is a
// wake-up to learn from.
func (c *Clock) sleep(d time.Duration, end Time) {
	n, err := c.poller.Wait(c.events[:], d)
	c.asked = Now()
	if n > 0 || err != nil {
		c.rang = true
		c.until.Store(awake)
	}
	if end == Never || c.until.Load() == awake {
		return
	}
	if c.asked >= end {
		c.wakeup.saw(c.asked.Sub(end))
	}
}

// whirl reads the clock until the instant is there. A goroutine that spins can
// be preempted, by the collector for one; and it looks whether it is wanted.
func (c *Clock) whirl(next Time) {
	start := Now()
	now := start
	for now < next && c.until.Load() != awake && !c.closing.Load() {
		now = Now()
	}
	c.count.spun.Add(int64(now.Sub(start)))
}
