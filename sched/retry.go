package sched

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

// waits returns what says how long to wait before the next try, one call for
// each. It is made when a run fails for the first time: most never do.
func (p Retry) waits() func() time.Duration {
	most := max(or(p.Most, time.Minute), 1)
	b := &backoff.ExponentialBackOff{
		InitialInterval:     min(max(or(p.First, time.Second), 1), most),
		MaxInterval:         most,
		Multiplier:          or(p.Factor, 2),
		RandomizationFactor: max(or(p.Jitter, 0.2), 0),
	}
	return func() time.Duration { return min(b.NextBackOff(), most) } // jitter comes on top there
}
