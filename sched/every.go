package sched

import (
	"math"
	"math/bits"
	"time"
)

// Every is a grid: its instants are Start + n x Period, n from 0. They are
// computed from the start and not from one another, so that they do not drift,
// however late a run was.
//
//	Start ┼─────────┼─────────┼─────────┼─────────┼
//	      │··· jitter│         │···│     │·│       │······
//	          fire         fire    fire    fire         fire
//
// Its instants are from 1678 to 2262.
type Every struct {
	// Period is the distance of two instants. Required, above 0.
	Period time.Duration

	// Start is the first instant. Zero: the beginning of 1970 in UTC, so that a
	// period of a minute is on the full minute, and all replicas, and the same
	// program after a restart, have the same instants.
	Start time.Time

	// Jitter puts each instant off by a duration from 0 to below this, so that
	// a thousand jobs of a second do not come at once. It is at most Period.
	// It depends on Seed and the instant alone: whoever asks again gets the
	// same. Zero: none.
	Jitter time.Duration

	// Seed tells jobs with jitter apart; the name of the job is a good one.
	Seed string
}

// Check refuses what can't be a grid.
func (e Every) Check() error {
	switch {
	case e.Period <= 0:
		return wrong("a period above 0 is needed")
	case e.Jitter < 0 || e.Jitter > e.Period:
		return wrong("jitter is from 0 to the period")
	case !e.Start.IsZero() && !inRange(e.Start):
		return wrong("a grid starts from 1678 to 2262")
	}
	return nil
}

// Steady says that it is time passing that counts.
func (Every) Steady() bool { return true }

// Next returns the first point of the grid after prev.
func (e Every) Next(prev time.Time) time.Time {
	if e.Check() != nil {
		return time.Time{}
	}
	return e.at(e.passed(nanos(prev)), prev.Location())
}

// Count implements Counter.
func (e Every) Count(after, upto time.Time) (n uint64, last time.Time) {
	if e.Check() != nil || !after.Before(upto) {
		return 0, time.Time{}
	}
	from, to := e.passed(nanos(after)), e.passed(nanos(upto))
	if from == to {
		return 0, time.Time{}
	}
	return to - from, e.at(to-1, upto.Location())
}

func (e Every) start() int64 {
	if e.Start.IsZero() {
		return 0
	}
	return e.Start.UnixNano()
}

// passed returns how many instants are not after now: the number of the next.
func (e Every) passed(now int64) uint64 {
	start := e.start()
	if now < start {
		return 0
	}
	n := (uint64(now) - uint64(start)) / uint64(e.Period)
	// Point n is not after now, but its jitter may put it there. All before it
	// are past: jitter does not reach the next point.
	since := (uint64(now) - uint64(start)) % uint64(e.Period)
	if e.jitter(n) > since {
		return n
	}
	return n + 1
}

// at returns the n-th instant, zero if that is out of range.
func (e Every) at(n uint64, in *time.Location) time.Time {
	start := e.start()
	room := uint64(math.MaxInt64) - uint64(start) // also where start is negative
	high, low := bits.Mul64(n, uint64(e.Period))
	if high != 0 || low > room || e.jitter(n) > room-low {
		return time.Time{}
	}
	return time.Unix(0, int64(uint64(start)+low+e.jitter(n))).In(in)
}

// jitter is how far the n-th instant is put off.
func (e Every) jitter(n uint64) uint64 {
	if e.Jitter == 0 {
		return 0
	}
	// The share of 2^64 that the hash is, of Jitter.
	off, _ := bits.Mul64(mix(seed(e.Seed)+n*0x9e3779b97f4a7c15), uint64(e.Jitter))
	return off
}

// seed is the 64-bit FNV-1a hash: the same in every process, unlike maphash's.
func seed(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix spreads x over all bits (the finalizer of splitmix64, public domain).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// The times whose distance from 1970 fits 64 bits of nanoseconds, but for one,
// which is before them all.
var (
	earliest = time.Unix(0, math.MinInt64+1)
	latest   = time.Unix(0, math.MaxInt64)
)

func inRange(t time.Time) bool { return !t.Before(earliest) && !t.After(latest) }

// nanos is t in nanoseconds since 1970, or the end of the range it is beyond.
func nanos(t time.Time) int64 {
	switch {
	case t.Before(earliest):
		return math.MinInt64
	case t.After(latest):
		return math.MaxInt64
	}
	return t.UnixNano()
}
