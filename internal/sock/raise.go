//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"os"
	"syscall"
)

// RaiseLimit raises the soft limit of descriptors to the hard one. By package
// syscall, which so knows that children are not to get back what the Go runtime
// had found at start. Where the system has a lower limit of its own (macOS:
// kern.maxfilesperproc) it may refuse.
func RaiseLimit() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	if l.Cur >= l.Max {
		return nil
	}
	l.Cur = l.Max
	return os.NewSyscallError("setrlimit", syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l))
}
