//go:build linux || freebsd || netbsd || dragonfly

package sock

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Waiting reports whether Recv would return at once with something else than
// EAGAIN: bytes, the end of the stream, or an error (which it takes, as Recv
// would). It reads nothing.
func Waiting(fd int) bool {
	var p [1]byte
	for {
		_, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(&p)), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
		if e != unix.EINTR {
			return e != unix.EAGAIN
		}
	}
}
