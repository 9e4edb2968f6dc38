//go:build (darwin || dragonfly || freebsd) && (amd64 || arm64 || ppc64 || riscv64)

package poller

import "golang.org/x/sys/unix"

// bell is EVFILT_USER: an event without a descriptor, kept by the queue
// itself. EV_CLEAR makes each trigger one edge.
type bell struct{}

func (bell) open(kq int) error {
	return change(kq, []kevent{{filter: unix.EVFILT_USER, flags: unix.EV_ADD | unix.EV_CLEAR, udata: uintptr(wakeToken)}})
}

// trigger has no flags: with EV_CLEAR in the change itself the kernel takes
// back the trigger that it has just set. It repeats udata, which each change
// overwrites. One for all: the kernel only reads it.
var trigger = []kevent{{filter: unix.EVFILT_USER, fflags: unix.NOTE_TRIGGER, udata: uintptr(wakeToken)}}

func (bell) ring(kq int) error { return change(kq, trigger) }

func (bell) rang(ev *kevent) bool { return ev.filter == unix.EVFILT_USER }

func (bell) close() {}
