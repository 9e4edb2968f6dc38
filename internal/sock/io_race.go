//go:build (linux || darwin || freebsd || netbsd || openbsd || dragonfly) && race

package sock

import (
	"syscall"
)

// The race detector learns from syscall.Read and syscall.Write that what was
// done before a write is seen after the read at the other end; raw calls tell
// it nothing. This file is the only difference that its builds see. Without
// the flag against SIGPIPE the runtime takes the signal (and ignores it unless
// the program asked for it with signal.Notify).

// Recv reads up to min(len(p), MaxIO) bytes into p. 0 without an error is the
// end of the stream (when p is not empty); EAGAIN says that nothing is there.
func Recv(fd int, p []byte) (int, syscall.Errno) {
	for {
		e := Injected(CallRecv, fd)
		if e == 0 {
			n, err := syscall.Read(fd, p[:min(len(p), MaxIO)])
			if err == nil {
				return n, 0
			}
			e = errno(err)
		}
		if e != syscall.EINTR {
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
			n, err := syscall.Write(fd, p[:min(len(p), MaxIO)])
			if err == nil {
				return n, 0
			}
			e = errno(err)
		}
		if e != syscall.EINTR {
			return 0, e
		}
	}
}

// Sendv writes the pieces of iov in order, as one Send of them joined would.
// At most MaxIovecs pieces and MaxIO bytes go in one call; the count says how
// far it came, so the caller goes on from there until EAGAIN.
func Sendv(fd int, iov []Iovec) (int, syscall.Errno) { return sendEach(fd, iov) }
