//go:build unix

package proc

import (
	"syscall"
	"time"
)

// Own is the CPU time that this process has used, user and system: what getrusage(2) says, the portable figure. It is
// false where the system does not tell.
func Own() (time.Duration, bool) {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0, false
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano()), true
}
