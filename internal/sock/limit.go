//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"errors"
	"os"
	"slices"
	"strconv"

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
// tells the number; elsewhere the directory of descriptors is read, which
// costs one descriptor for the time of the call and grows with their number.
// errors.ErrUnsupported where that directory is not kept (FreeBSD and
// DragonFly without fdescfs).
func InUse() (int, error) {
	if n := countByStat(); n > 0 {
		return n, nil
	}
	return countByList(fdDir)
}

// countByList reads dir without package os, whose File would put the directory
// in the runtime's poller and open descriptors of its own.
func countByList(dir string) (int, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("open", err)
	}
	defer unix.Close(fd)
	self, seen := strconv.Itoa(fd), false
	total := 0
	buf := make([]byte, 8<<10)
	var names []string
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, os.NewSyscallError("getdents", err)
		}
		if n <= 0 {
			break
		}
		_, k, list := unix.ParseDirent(buf[:n], -1, names[:0])
		total, names = total+k, list
		seen = seen || slices.Contains(list, self)
	}
	if !seen {
		// A fixed directory of 0, 1 and 2 does not even know the descriptor
		// that it is read through.
		return 0, errors.ErrUnsupported
	}
	return total - 1, nil
}

// isOpen returns EBADF when fd is not open.
func isOpen(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return os.NewSyscallError("fcntl", err)
}
