package timer

import "math/bits"

// The levels in front of the heap. Each is a ring of 256 buckets, as a clock
// face has minutes, and its buckets are 16 times as wide as those of the level
// below. A timer goes to the lowest level that reaches as far as its instant:
//
//	base
//	 ├┬┬┬┬┬┬┬┬┬─ ─ ─┬┬┬┤                         level 0: 256 x 1.05 ms = 268 ms
//	 ├──┴──┴──┴─ ─ ─┴──┼──┬──┬──┬─ ─ ─┬──┤       level 1: 256 x 16.8 ms = 4.29 s
//	 ├─────────────────┴────────┴─ ─ ─┴──┼─ ─    level 2: 256 x  268 ms = 68.7 s
//	  heap                                       3: 18.3 min, 4: 4.89 h, 5: 3.26 d, 6: 52 d,
//	                                             7: 2.3 years, 8: 37 years, 9: 585 years
//
// So from level 1 on a bucket is at most a sixteenth as wide as the instants in
// it were far: one that opens has that share of the timers to move, not all of
// them at once. What it moves lies less than its width ahead, and so goes two
// levels down. Instants in the level 0 bucket that base is in go to the heap.
//
// Base is the present, up to which buckets were opened. It moves on to the
// beginning of the first bucket in use, or to an instant before it; so buckets
// in use begin after it, and their number in the ring says when.
const (
	levelCount = 10
	slotBits   = 8 // log2 of the buckets of a level
	slotMask   = 1<<slotBits - 1
	stepBits   = 4  // log2 of how much wider the next level's are
	tickBits   = 20 // log2 of the nanoseconds of a bucket of level 0

	// never is the bucket of the timers that are set to Never. It has no
	// beginning that comes, and no bit.
	never = levelCount << slotBits
)

// few is how many timers there are before any go to the levels: so many are as
// cheap in the heap, and exact without a second wake-up.
const few = 2048

// direct is up to how many timers a bucket hands to the heap at once when it
// opens. More go to lower levels first. It spares timers that are far and
// sparse one wake-up for each level, and all of them a move.
const direct = 256

type levels struct {
	base    Time // the present, as far as buckets were opened
	next    Time // where the first bucket in use begins; Never without one
	first   int  // that bucket
	n       int  // timers
	inUse   int  // buckets
	gone    int  // stopped since the last sweep: so many slots at most point to one that is
	few     int  // as the constants, but for tests
	direct  int
	mask    uint16 // levels that have a bucket in use
	used    [levelCount][1 << slotBits / 64]uint64
	buckets [never + 1]int32 // the first run of each
	slab
}

func newLevels(now Time) *levels {
	l := &levels{base: max(now, 0), next: Never, few: few, direct: direct}
	l.grow()
	return l
}

// shift is log2 of the nanoseconds of a bucket.
func shift(level uint) uint { return (tickBits + level*stepBits) & 63 }

// bucket returns where an instant belongs, negative when that is the heap.
func (l *levels) bucket(when Time) int {
	if when>>tickBits <= l.base>>tickBits {
		return -1
	}
	if when == Never {
		return never
	}
	// At least what level 0 reaches, so that the level is not below it.
	ahead := uint64(when-l.base) | 1<<(tickBits+slotBits-1)
	level := (64 - tickBits - slotBits + stepBits - 1 - uint(bits.LeadingZeros64(ahead))) / stepBits
	if when>>shift(level)-l.base>>shift(level) > slotMask {
		level++ // base is not at the beginning of a bucket
	}
	return int(level<<slotBits | uint(when>>shift(level))&slotMask)
}

// begin returns the first instant of a bucket that is in use.
func (l *levels) begin(b int) Time {
	if b == never {
		return Never
	}
	s := shift(uint(b) >> slotBits)
	present := l.base >> s
	return (present + (Time(b)-present)&slotMask) << s
}

// end returns the first instant after the bucket.
func (l *levels) end(b int) Time {
	return l.begin(b).Add(1 << shift(uint(b)>>slotBits))
}

// placedFor returns the instant before which a timer in the levels does not
// come up.
func (l *levels) placedFor(t *Timer) Time {
	i, _ := l.own(t)
	return l.begin(int(l.runs[i>>runBits].bucket))
}

func (l *levels) use(b int) {
	l.inUse++
	if b == never {
		return
	}
	level, i := b>>slotBits, b&slotMask
	l.used[level][i/64] |= 1 << (i % 64)
	l.mask |= 1 << level
	if when := l.begin(b); when < l.next {
		l.next, l.first = when, b
	}
}

func (l *levels) unuse(b int) {
	l.inUse--
	if b == never {
		return
	}
	level, i := b>>slotBits, b&slotMask
	l.used[level][i/64] &^= 1 << (i % 64)
	if l.used[level] == [len(l.used[level])]uint64{} {
		l.mask &^= 1 << level
	}
	if b == l.first {
		l.seek()
	}
}

// seek finds the first bucket in use.
func (l *levels) seek() {
	l.next, l.first = Never, never
	for mask := l.mask; mask != 0; mask &= mask - 1 {
		b := l.firstOf(uint(bits.TrailingZeros16(mask)))
		if when := l.begin(b); when < l.next {
			l.next, l.first = when, b
		}
	}
}

// firstOf returns the first bucket in use of a level that has one.
func (l *levels) firstOf(level uint) int {
	present := uint(l.base>>shift(level)) & slotMask
	i := present / 64
	word := l.used[level][i] >> (present % 64) << (present % 64)
	for word == 0 { // round the ring, back to what is before the present in its word
		i = (i + 1) % (1 << slotBits / 64)
		word = l.used[level][i]
	}
	return int(level<<slotBits|i*64) + bits.TrailingZeros64(word)
}
