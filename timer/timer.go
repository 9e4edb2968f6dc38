package timer

import "unsafe"

// Firer is what a Timer calls when its instant has come.
type Firer interface {
	// Fire is called inside Advance, on the goroutine that owns the heap,
	// with the instant that Advance was given. The timer is stopped by then;
	// Fire may set it again, and set or stop any other timer of the heap. It
	// should not block: everything else the heap's owner does waits for it.
	Fire(now Time)
}

// Func is a function as a Firer.
type Func func(now Time)

// Fire calls f.
func (f Func) Fire(now Time) { f(now) }

// A Timer is one instant to wait for and whom to call then. The zero value is
// a stopped timer that still needs Init. It is made to be embedded in what it
// times: it takes 32 bytes and setting it allocates nothing. All its methods
// belong to the goroutine that owns the Heap it is used with. While it is set
// it must not be copied, moved to another heap, or initialised again.
type Timer struct {
	_ noCopy

	firer Firer
	when  Time
	place int32  // 0 nowhere, i+1 at entries[i], -(i+1) at late[i], inLevels|i at slot i
	stamp uint32 // the last 32 bits of the number of its last Set
}

// inLevels marks the places that are slots of the levels.
const inLevels = 1 << 30

const notOurs = "timer: Timer copied while set, or set in another heap"

// The size is part of the promise: a connection embeds several timers.
var _ [32 - unsafe.Sizeof(Timer{})]byte

// noCopy lets go vet find copies of a Timer.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// Init says whom t calls. It comes before the first Set, and once is enough
// for the life of the timer.
func (t *Timer) Init(f Firer) { t.firer = f }

// Active reports whether t is set: neither fired nor stopped since.
func (t *Timer) Active() bool { return t.place != 0 }

// When returns the instant that t was last set to, zero if it never was. It
// keeps the value after the timer fired or was stopped, so that Fire can tell
// how late it is, and a ticker can go on from there.
func (t *Timer) When() Time { return t.when }
