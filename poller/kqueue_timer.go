//go:build (darwin || freebsd) && (amd64 || arm64 || ppc64 || riscv64)

package poller

import (
	"time"

	"golang.org/x/sys/unix"
)

// alarm is EVFILT_TIMER in place of kevent's timeout, set anew by the same call
// that waits: darwin coalesces a thread's timeouts, by up to a tenth, and leaves
// alone a timer that is critical (kqueue(2), NOTE_CRITICAL).
//
// It counts from the present. The absolute timers that the two kernels have
// count on the wall clock and would move with it.
type alarm struct {
	on  bool
	one [1]kevent
}

func (k *kernel) precise() { k.alarm.on = true }

// set returns the change that sets the timer, nil if there is none to be used.
// The one of the Wait before, if another event was faster, is replaced; one that
// is left behind ends a Wait early, which then sleeps on.
func (a *alarm) set(timeout time.Duration) []kevent {
	if !a.on || timeout <= 0 {
		return nil
	}
	a.one[0] = kevent{
		filter: unix.EVFILT_TIMER, flags: unix.EV_ADD | unix.EV_ONESHOT,
		fflags: unix.NOTE_NSECONDS | critical, data: int64(min(timeout, longest)),
	}
	return a.one[:]
}

func (a *alarm) rang(ev *kevent) bool { return a.on && ev.filter == unix.EVFILT_TIMER }
