//go:build (netbsd || openbsd) && (amd64 || arm64 || ppc64 || riscv64)

package poller

import (
	"os"

	"golang.org/x/sys/unix"
)

// bell is a pipe to ourselves: OpenBSD and NetBSD before 10 have no
// EVFILT_USER.
type bell struct {
	rd, wr int
	sink   [16]byte // owned by the waiter
}

var ding = []byte{1}

func (b *bell) open(kq int) error {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	b.rd, b.wr = ends[0], ends[1]
	err := change(kq, []kevent{{
		ident: uint64(b.rd), filter: unix.EVFILT_READ, flags: unix.EV_ADD | unix.EV_CLEAR, udata: uintptr(wakeToken),
	}})
	if err != nil {
		b.close()
	}
	return err
}

// ring writes a byte. A full pipe is a pending ring.
func (b *bell) ring(int) error {
	for {
		_, err := unix.Write(b.wr, ding)
		if err == unix.EAGAIN {
			return nil
		}
		if err != unix.EINTR {
			return os.NewSyscallError("write pipe", err)
		}
	}
}

// rang empties the pipe, and does so before the ring is taken back (Wait does
// that next): a byte written after that must find its edge, because kevent
// forgets an event whose pipe is empty when it comes to look. At most two bytes
// are there, the ring's and that of Close.
func (b *bell) rang(ev *kevent) bool {
	if ev.udata != uintptr(wakeToken) {
		return false
	}
	for {
		if _, err := unix.Read(b.rd, b.sink[:]); err != unix.EINTR {
			return true
		}
	}
}

func (b *bell) close() {
	_ = unix.Close(b.rd)
	_ = unix.Close(b.wr)
}
