package timer

import (
	"math/bits"
	"time"
)

// A grid is the instants start + n x period, n from 1. Computed from the start
// each time and not from one another, they do not drift.
type grid struct {
	start  Time
	period time.Duration // at least 1
}

// at returns the n-th instant, Never if that is out of range.
func (g grid) at(n uint64) Time {
	high, low := bits.Mul64(n, uint64(g.period))
	if high != 0 || low > uint64(Never)-uint64(g.start) { // also where the start is negative
		return Never
	}
	return Time(uint64(g.start) + low)
}

// passed returns how many instants are not after now.
func (g grid) passed(now Time) uint64 {
	if now < g.start {
		return 0
	}
	return (uint64(now) - uint64(g.start)) / uint64(g.period)
}

// aligned returns a grid whose instants are multiples of the period, plus the
// phase, and of which the next after now is the first.
func aligned(now Time, period, phase time.Duration) grid {
	p := Time(period)
	start := now - mod(now-mod(Time(phase), p), p)
	return grid{start, period}
}

// mod is the remainder that is not negative.
func mod(a, b Time) Time {
	if m := a % b; m < 0 {
		return m + b
	} else {
		return m
	}
}
