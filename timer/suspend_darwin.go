package timer

import (
	"time"

	"golang.org/x/sys/unix"
)

const knowsSuspend = true

// suspended is how long the machine was, since it was started. Here
// CLOCK_MONOTONIC goes on while it is, and CLOCK_UPTIME_RAW does not
// (clock_gettime(3)).
func suspended() time.Duration {
	return largest(func() time.Duration {
		var all, awake unix.Timespec
		if unix.ClockGettime(unix.CLOCK_MONOTONIC, &all) != nil || unix.ClockGettime(unix.CLOCK_UPTIME_RAW, &awake) != nil {
			return 0
		}
		return time.Duration(all.Nano() - awake.Nano()).Round(time.Millisecond)
	})
}
