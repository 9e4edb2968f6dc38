package conn

import (
	"time"

	"golang.org/x/sys/unix"
)

// processTime is what the process has used of its processors, 0 if nobody knows.
func processTime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
