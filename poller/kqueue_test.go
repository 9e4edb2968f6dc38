//go:build (darwin || dragonfly || freebsd || netbsd || openbsd) && (amd64 || arm64 || ppc64 || riscv64)

package poller

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestTranslate(t *testing.T) {
	for _, c := range []struct {
		ev   kevent
		want Ready
	}{
		{kevent{filter: unix.EVFILT_READ}, Readable},
		{kevent{filter: unix.EVFILT_WRITE}, Writable},
		{kevent{filter: unix.EVFILT_READ, flags: unix.EV_CLEAR}, Readable},
		{kevent{filter: unix.EVFILT_READ, flags: unix.EV_EOF}, Readable | Writable | Hangup},
		{kevent{filter: unix.EVFILT_WRITE, flags: unix.EV_EOF}, Readable | Writable},
		{
			kevent{filter: unix.EVFILT_READ, flags: unix.EV_EOF, fflags: uint32(unix.ECONNRESET)},
			Readable | Writable | Hangup | Failed,
		},
		{
			kevent{filter: unix.EVFILT_WRITE, flags: unix.EV_EOF, fflags: uint32(unix.ECONNREFUSED)},
			Readable | Writable | Failed,
		},
		{kevent{filter: unix.EVFILT_WRITE, flags: unix.EV_ERROR}, Readable | Writable | Failed},
	} {
		if got := translate(&c.ev); got != c.want {
			t.Errorf("translate(%+v) = %v, want %v", c.ev, got, c.want)
		}
	}
}

// A filter that cannot be added takes the other one back with it, and what was
// registered before is not touched by a stranger's failure.
func TestAddIsAllOrNothing(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		s := newPair(t)
		s.add(p, 1)
		if err := p.Add(1<<20, 2); err == nil {
			t.Fatal("Add took a descriptor that is not open")
		}
		s.say(s.theirs, "x")
		await(t, p, 1, Readable)
	})
}
