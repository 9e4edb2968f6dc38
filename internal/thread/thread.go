// Package thread asks the kernel to be on time for the calling thread.
//
// A thread that sleeps until an instant is late for three reasons: the kernel
// may put the wake-up off to batch it with others (timer slack, 50 µs unless it
// is told otherwise), the processor has to come back from an idle state, and
// once it has, other threads may have their turn first. The first is turned off
// by anyone. Against the last there are, best first:
//
//	FIFO    a real-time policy: before every ordinary thread    CAP_SYS_NICE
//	Slice   a short slice under EEVDF (Linux 6.12): a thread    none
//	        that asks for little is due sooner
//	Nice    more weight                                         CAP_SYS_NICE
//
// What is granted belongs to the thread. The calling goroutine is locked to it
// by runtime.LockOSThread, and stays so: when it ends, the runtime ends the
// thread and all of this with it. Threads that the runtime starts meanwhile do
// not inherit it: the runtime clones none from a locked thread.
package thread

import (
	"errors"
	"strings"
)

// Help is what the kernel has granted to a thread, a set of bits.
type Help uint8

const (
	// Slack: wake-ups are not put off, timer slack is 1 ns.
	Slack Help = 1 << iota

	// FIFO: the thread runs under SCHED_FIFO, at the lowest real-time priority.
	FIFO

	// Slice: the thread's slice is 100 µs instead of some milliseconds.
	Slice

	// Nice: the thread's niceness is negative.
	Nice
)

var helps = [...]struct {
	bit  Help
	name string
}{{Slack, "slack"}, {FIFO, "fifo"}, {Slice, "slice"}, {Nice, "nice"}}

// Has reports whether h contains any of the bits of x.
func (h Help) Has(x Help) bool { return h&x != 0 }

// String returns the bits by name: "slack|fifo", or "none".
func (h Help) String() string {
	var names []string
	for _, one := range helps {
		if h.Has(one.bit) {
			names = append(names, one.name)
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, "|")
}

// Hasten asks for what helps the calling thread to run on time, and returns
// what it got, with the kernel's reasons for what it refused. Nobody needs to
// treat them as failures: the thread runs, only later. The calling goroutine
// must be locked to its thread.
//
// FIFO is asked for only if realtime is set. A thread that has it needs no
// more; without it a slice is asked for and, as realtime implies that more is
// wanted than fairness gives, a nice value.
func Hasten(realtime bool) (Help, error) {
	var got Help
	var refused []error
	ask := func(bit Help, err error) bool {
		if err == nil {
			got |= bit
		} else {
			refused = append(refused, err)
		}
		return err == nil
	}
	ask(Slack, setSlack())
	if realtime && ask(FIFO, setFIFO()) {
		return got, errors.Join(refused...)
	}
	ask(Slice, setSlice())
	if realtime {
		ask(Nice, setNice())
	}
	return got, errors.Join(refused...)
}
