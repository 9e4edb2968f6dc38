//go:build linux || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"os"

	"golang.org/x/sys/unix"
)

const streamFlags = unix.SOCK_STREAM | unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC

func socket(domain int) (int, error) {
	if e := Injected(CallSocket, -1); e != 0 {
		return -1, os.NewSyscallError("socket", e)
	}
	fd, err := unix.Socket(domain, streamFlags, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	return fd, nil
}

func pair() ([2]int, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, streamFlags, 0)
	if err != nil {
		return [2]int{-1, -1}, os.NewSyscallError("socketpair", err)
	}
	return fds, nil
}
