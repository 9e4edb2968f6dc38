//go:build unix

package line

import (
	"syscall"
	"time"
)

// cpuTime is what getrusage(2) says of this process: the portable figure, coarser than Linux's schedstat.
func cpuTime() (time.Duration, bool) {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0, false
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano()), true
}
