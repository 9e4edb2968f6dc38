//go:build linux

package thread

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// slice is what a thread asks for that computes for microseconds and then
// sleeps: the least that the kernel takes (sched_setattr(2): 100 µs to 100 ms).
const slice = 100_000

func setSlack() error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0))
}

// setFIFO takes the lowest real-time priority: it is before every ordinary
// thread, and behind whoever has a better claim. The kernel's throttle of
// real-time threads (95 % of a second) stays in force.
func setFIFO() error {
	return setAttr(&unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK})
}

// setSlice keeps the policy and the niceness. Since Linux 6.12 the field that
// was for SCHED_DEADLINE alone is the slice of an ordinary thread, and can be
// read back; before, it was ignored.
func setSlice() error {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return os.NewSyscallError("sched_getattr", err)
	}
	if err := setAttr(&unix.SchedAttr{Policy: attr.Policy, Nice: attr.Nice, Priority: attr.Priority, Runtime: slice}); err != nil {
		return err
	}
	if attr, err = unix.SchedGetAttr(0, 0); err == nil && attr.Runtime != slice {
		err = errors.ErrUnsupported
	}
	return os.NewSyscallError("sched_getattr", err)
}

func setAttr(attr *unix.SchedAttr) error {
	attr.Size = uint32(unsafe.Sizeof(*attr))
	return os.NewSyscallError("sched_setattr", unix.SchedSetAttr(0, attr, 0))
}

// setNice uses that on Linux niceness belongs to a thread, against POSIX.
func setNice() error {
	return os.NewSyscallError("setpriority", unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -20))
}
