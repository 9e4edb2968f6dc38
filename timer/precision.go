package timer

import (
	"fmt"
	"time"
)

// Precision says how much a Clock does to be on time. The zero value is Coarse.
//
// How late ticks are against the instants at which they are due, and the
// processor time of the process, on an idle machine: mean / 99th percentile in
// microseconds, and milliseconds of processor time a second.
//
//	             1 ms                 10 ms               100 ms
//	time.Ticker  611 / 1118    52     616 / 1164    20    597 / 1149    3
//	Coarse       118 /  187    75     217 /  277    16    310 /  709    4
//	Fine          48 /  102   128      62 /  196    22     68 /  147    4
//	Exact        4.5 /   79   188     8.6 /   55   118     15 /   89   21
//
// time.Ticker does not deliver all of those at 1 ms. Measured by go run ./bench
// timer on 2 cores of a virtual machine, where Exact was granted SCHED_FIFO; with
// the cores or the Ps busy see docs/benchmarks.md.
type Precision uint8

const (
	// Coarse waits as an event loop does: one wait of the poller, on whatever
	// thread the goroutine has. The kernel may put the wake-up off by its timer
	// slack (50 µs), and an idle processor takes longer to wake the longer it
	// slept.
	Coarse Precision = iota

	// Fine gives the clock a thread of its own, without slack and with a short
	// slice where the kernel has one (Linux 6.12), and sleeps in two steps: a
	// long one that ends early, and a short one out of a processor that is
	// awake. It needs no privilege.
	Fine

	// Exact is Fine, and the last stretch is not slept but spun, as long as
	// wake-ups turned out to be late lately; and the thread asks for a
	// real-time policy, or a negative niceness where that is refused. Without
	// privileges it is Fine that spins.
	Exact
)

var precisions = [...]string{Coarse: "coarse", Fine: "fine", Exact: "exact"}

// String returns the name in lower case.
func (p Precision) String() string {
	if int(p) < len(precisions) {
		return precisions[p]
	}
	return fmt.Sprintf("Precision(%d)", uint8(p))
}

// wakeup estimates how late the kernel's wake-ups are, from those it has seen:
// it rises fast and falls slowly, so that about one in ten is later. It decides
// how long before an instant a sleep has to end so that the rest can be spun.
type wakeup struct {
	late time.Duration
}

// saw takes in one more.
func (w *wakeup) saw(late time.Duration) {
	if late > w.late {
		w.late += (min(late, outlier) - w.late) / 4
		return
	}
	w.late -= (w.late - late) / 32
}

const (
	// outlier is the most that a single wake-up counts for: later ones come
	// from a processor that was taken away, against which no spin helps.
	outlier = time.Millisecond

	// lead is how long before the instant the first of two sleeps ends. It is
	// more than an idle processor takes to wake, and so short that it does not
	// go back to a deep idle state for the second.
	lead = 300 * time.Microsecond

	// defaultSpin is the longest spin, unless the configuration says otherwise.
	defaultSpin = 200 * time.Microsecond
)
