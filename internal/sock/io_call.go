//go:build (darwin || openbsd) && !race

package sock

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// These kernels are entered through their C library only.

// Recv reads up to min(len(p), MaxIO) bytes into p. 0 without an error is the
// end of the stream (when p is not empty); EAGAIN says that nothing is there.
func Recv(fd int, p []byte) (int, syscall.Errno) {
	for {
		e := Injected(CallRecv, fd)
		if e == 0 {
			n, err := unix.Read(fd, p[:min(len(p), MaxIO)])
			if err == nil {
				return n, 0
			}
			e = errno(err)
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// Send writes up to min(len(p), MaxIO) bytes of p and returns how many the
// kernel took. Only EAGAIN says that it takes no more: after a short count
// send again. A peer that is gone is EPIPE or ECONNRESET, never a signal.
func Send(fd int, p []byte) (int, syscall.Errno) {
	p = p[:cut(fd, len(p))]
	for {
		e := Injected(CallSend, fd)
		if e == 0 {
			n, err := unix.SendmsgN(fd, p[:min(len(p), MaxIO)], nil, nil, sendFlags)
			if err == nil {
				return n, 0
			}
			e = errno(err)
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// Sendv writes the pieces of iov in order, as one Send of them joined would.
// At most MaxIovecs pieces and MaxIO bytes go in one call; the count says how
// far it came, so the caller goes on from there until EAGAIN.
func Sendv(fd int, iov []Iovec) (int, syscall.Errno) { return sendEach(fd, iov) }
