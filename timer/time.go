package timer

import (
	"math"
	"time"
)

// Time is an instant: nanoseconds on this process's monotonic clock, which
// starts near 1 when the process does (see Now). It means nothing outside of
// the process and knows no calendar. Zero is no instant: it stands for "never
// set". Instants are compared with <, == and >.
type Time int64

// Never is an instant that Now does not reach. A timer set to Never is active
// and does not fire, and Never.Add is Never whatever is added.
const Never Time = math.MaxInt64

// base is where the process's clock starts. It carries a monotonic reading,
// so that setting the wall clock moves no instant.
var base = time.Now()

// Now returns the present instant. It never goes back, is at least 1, and may
// be called from any goroutine. A loop that turns often asks once a turn and
// hands the answer on. Inside a testing/synctest bubble it is the bubble's
// time; instants from in there do not compare with others.
func Now() Time {
	return Time(time.Since(base)) + 1
}

// Add returns the instant d after t (before it, when d is negative). It stops
// at the ends of the range instead of wrapping, so that a deadline computed
// from a huge duration is late and not past.
func (t Time) Add(d time.Duration) Time {
	if t == Never {
		return Never
	}
	u := t + Time(d)
	switch {
	case d > 0 && u < t:
		return Never
	case d < 0 && u > t:
		return math.MinInt64
	}
	return u
}

// Sub returns the duration from u to t, which stops at the ends of the range
// as Add does. Never.Sub(u) is some 292 years.
func (t Time) Sub(u Time) time.Duration {
	d := time.Duration(t - u)
	switch {
	case u < 0 && t >= 0 && d < 0:
		return math.MaxInt64
	case u >= 0 && t < 0 && d >= 0:
		return math.MinInt64
	}
	return d
}
