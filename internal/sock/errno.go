//go:build darwin || freebsd || netbsd || openbsd || dragonfly || (linux && race)

package sock

import "syscall"

// errno unpacks what package syscall and x/sys return for a failed call.
func errno(err error) syscall.Errno {
	if e, ok := err.(syscall.Errno); ok {
		return e
	}
	return syscall.EIO
}
