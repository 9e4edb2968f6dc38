//go:build (linux || freebsd || netbsd || dragonfly) && !race

package sock

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Raw system calls, of which the Go scheduler is not told: on non-blocking
// sockets there is nothing to wait for. recvfrom and sendto instead of read
// and write, because the kernel then goes straight to the socket instead of
// through the file layer; sendto also takes the flag against SIGPIPE.

// Recv reads up to min(len(p), MaxIO) bytes into p. 0 without an error is the
// end of the stream (when p is not empty); EAGAIN says that nothing is there.
func Recv(fd int, p []byte) (int, syscall.Errno) {
	for {
		n, e := uintptr(0), Injected(CallRecv, fd)
		if e == 0 {
			n, _, e = syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
				uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(min(len(p), MaxIO)),
				0, 0, 0)
		}
		if e == 0 {
			return int(n), 0
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
		n, e := uintptr(0), Injected(CallSend, fd)
		if e == 0 {
			n, _, e = syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
				uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(min(len(p), MaxIO)),
				unix.MSG_NOSIGNAL, 0, 0)
		}
		if e == 0 {
			return int(n), 0
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// Sendv writes the pieces of iov in order, as one Send of them joined would.
// At most MaxIovecs pieces and MaxIO bytes go in one call; the count says how
// far it came, so the caller goes on from there until EAGAIN.
func Sendv(fd int, iov []Iovec) (int, syscall.Errno) {
	k := gather(iov)
	if k == 0 {
		if len(iov) == 0 {
			return 0, 0
		}
		return Send(fd, iov[0].Bytes())
	}
	var msg unix.Msghdr
	msg.Iov = (*unix.Iovec)(unsafe.Pointer(&iov[0]))
	msg.SetIovlen(cut(fd, k))
	for {
		n, e := uintptr(0), Injected(CallSend, fd)
		if e == 0 {
			n, _, e = syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd),
				uintptr(unsafe.Pointer(&msg)), unix.MSG_NOSIGNAL)
		}
		if e == 0 {
			return int(n), 0
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}
