//go:build freebsd || dragonfly

package sock

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Accept takes the next connection from the listener fd and, when peer is not
// nil, fills in who called (zero for Unix sockets). EAGAIN when nobody waits.
// The caller owns nfd.
//
// Errors of the one connection (ECONNABORTED, EPROTO) say nothing about the
// listener: go on. EMFILE, ENFILE, ENOBUFS and ENOMEM leave the connection in
// the queue.
func Accept(fd int, peer *Peer) (nfd int, err syscall.Errno) {
	for {
		if e := Injected(CallAccept, fd); e == unix.EINTR {
			continue
		} else if e != 0 {
			return -1, e
		}
		nfd, sa, e := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if e == nil {
			if peer != nil {
				setPeer(peer, sa)
			}
			return nfd, 0
		}
		if e := errno(e); e != unix.EINTR {
			return -1, e
		}
	}
}
