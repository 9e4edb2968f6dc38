package sock

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Darwin has no flags for socket(2): close-on-exec is set while forks are kept
// out, the rest after.

func socket(domain int) (int, error) {
	if e := Injected(CallSocket, -1); e != 0 {
		return -1, os.NewSyscallError("socket", e)
	}
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(domain, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := prepare(fd); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("fcntl", err)
	}
	return fd, nil
}

func pair() ([2]int, error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return [2]int{-1, -1}, os.NewSyscallError("socketpair", err)
	}
	for _, fd := range fds {
		if err := prepare(fd); err != nil {
			unix.Close(fds[0])
			unix.Close(fds[1])
			return [2]int{-1, -1}, os.NewSyscallError("fcntl", err)
		}
	}
	return fds, nil
}

// prepare makes a descriptor that the kernel returned what the package
// promises. SO_NOSIGPIPE fails on a socket whose peer has gone already, which
// the first Recv or Send finds out anyway.
func prepare(fd int) error {
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NOSIGPIPE, 1)
	return unix.SetNonblock(fd, true)
}
