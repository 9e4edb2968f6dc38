//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"os"

	"golang.org/x/sys/unix"
)

// Reserve opens a descriptor that is good for nothing but being closed: who
// has run out of descriptors closes it, accepts one connection to refuse it
// properly, and takes a new reserve.
func Reserve() (fd int, err error) {
	fd, err = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("open", err)
	}
	return fd, nil
}

// Limit returns how many descriptors this process may have (RLIMIT_NOFILE).
// The Go runtime has raised soft to hard already at start, on most systems.
func Limit() (soft, hard uint64, err error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, 0, os.NewSyscallError("getrlimit", err)
	}
	// Signed on FreeBSD and DragonFly; infinite is the largest either way.
	return uint64(l.Cur), uint64(l.Max), nil
}

// InUse counts the descriptors that this process has open. Linux since 6.2
// tells the number; before that, and on macOS, the directory of descriptors is
// read, which takes one descriptor for the time of the call and grows with
// their number. The BSDs are asked for each descriptor up to the limit, but
// not above 65,535.
func InUse() (int, error) { return inUse() }

// isOpen returns EBADF when fd is not open.
func isOpen(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return os.NewSyscallError("fcntl", err)
}
