package timer

import (
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/internal/thread"
)

// ClockStats is what a Clock has counted since NewClock, and what it holds now.
type ClockStats struct {
	Precision Precision
	Base      Base   // as granted: Monotonic where suspension cannot be told
	Help      string // what the kernel granted to the clock's thread: "slack|fifo", "none"

	Pending int64  // timers that are set: alarms, contexts, tickers
	Fired   uint64 // functions handed over, times sent and contexts ended

	Refused uint64 // functions that the Pool did not take at once
	Backlog int64  // of them, those that wait now
	Inline  uint64 // functions run on the clock's goroutine because the backlog was full
	Panics  uint64 // of callbacks on the clock's goroutine

	Spun time.Duration // spent spinning

	Steps     uint64        // times that somebody set the wall clock, or the machine woke up
	Suspends  uint64        // of them, the latter
	Suspended time.Duration // in all, noticed

	// Late is how late the goroutine woke up for an instant that it slept for;
	// its Count is how often it did.
	Late Histogram
}

// clockCounts are changed by the clock's goroutine and read by all.
type clockCounts struct {
	help      atomic.Uint32
	fired     atomic.Uint64
	refused   atomic.Uint64
	waiting   atomic.Int64
	inline    atomic.Uint64
	panics    atomic.Uint64
	spun      atomic.Int64
	steps     atomic.Uint64
	suspends  atomic.Uint64
	suspended atomic.Int64
	late      tally
}

// Stats returns the counters. It takes each shard's lock for a moment.
func (c *Clock) Stats() ClockStats {
	s := ClockStats{
		Precision: c.cfg.Precision,
		Base:      c.offsets.base,
		Help:      thread.Help(c.count.help.Load()).String(),
		Fired:     c.count.fired.Load(),
		Refused:   c.count.refused.Load(),
		Backlog:   c.count.waiting.Load(),
		Inline:    c.count.inline.Load(),
		Panics:    c.count.panics.Load(),
		Spun:      time.Duration(c.count.spun.Load()),
		Steps:     c.count.steps.Load(),
		Suspends:  c.count.suspends.Load(),
		Suspended: time.Duration(c.count.suspended.Load()),
		Late:      c.count.late.snapshot(),
	}
	for i := range c.shards {
		h := &c.shards[i]
		h.mu.Lock()
		s.Pending += int64(h.heap.Len())
		h.mu.Unlock()
	}
	return s
}
