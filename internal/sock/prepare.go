//go:build linux || freebsd || netbsd || openbsd || dragonfly

package sock

import "golang.org/x/sys/unix"

// prepare makes a descriptor from elsewhere what the package promises. Against
// SIGPIPE these systems have a flag for each call.
func prepare(fd int) error { return unix.SetNonblock(fd, true) }
