package timer

import (
	"fmt"
	"time"
)

// Precision says how much a Clock does to be on time. The zero value is Coarse.
//
// Lateness against the ideal instant and what it costs, measured with one
// ticker on 2 shared cores of a virtual machine (go run ./bench timer; the
// table with all loads and periods is in docs/benchmarks.md):
//
//	PRECISION_TABLE
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
