package sched

import (
	"math"
	"time"

	"github.com/weir-go/weir/timer"
)

// An Instant is a due time as it is written down: nanoseconds since 1970 on the
// wall clock, as the trigger said it. It is the same in every replica and after
// a restart, and it is a name, not a measurement: when the run began has nothing
// to do with it. Zero is no instant.
type Instant int64

// InstantOf returns t as an Instant, the end of the range (the years 1677 and
// 2262) if it is beyond, and 0 for the zero time.
func InstantOf(t time.Time) Instant {
	if t.IsZero() {
		return 0
	}
	switch s := t.Unix(); {
	case s >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	case s <= math.MinInt64/int64(time.Second):
		return math.MinInt64
	}
	return Instant(t.UnixNano())
}

// Time returns the instant in UTC, the zero time for 0.
func (i Instant) Time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(i)).UTC()
}

// add returns the instant d later, or the end of the range.
func (i Instant) add(d time.Duration) Instant { return Instant(timer.Time(i).Add(d)) }

// String returns it as RFC 3339 with nanoseconds, "none" for 0.
func (i Instant) String() string {
	if i == 0 {
		return "none"
	}
	return i.Time().Format(time.RFC3339Nano)
}

// A Key names a run: the job and the instant it is due at. However many replicas
// fire, and however often a program is started again, it is the same run as long
// as the Key is.
type Key struct {
	Job     string
	Instant Instant
}

// String returns "job@instant", for use as an idempotency key.
func (k Key) String() string { return k.Job + "@" + k.Instant.String() }
