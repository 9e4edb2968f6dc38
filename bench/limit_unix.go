//go:build unix

package main

import "syscall"

// spare descriptors are a process's own: standard streams, listener, poller.
const spare = 64

// descriptors is how many connections one process may open here.
func descriptors() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 1024 - spare
	}
	return int(min(uint64(l.Cur), 1<<20)) - spare
}
