package sched

import "time"

// Waits is what a run asks how long to rest.
func Waits(p Retry) func() time.Duration { return p.waits() }
