//go:build unix

package main

import "syscall"

// reserved descriptors are a process's own: standard streams, listener, poller.
const reserved = 64

// descriptors is how many connections one process may open here.
func descriptors() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 1024 - reserved
	}
	return int(min(uint64(l.Cur), 1<<20)) - reserved
}
