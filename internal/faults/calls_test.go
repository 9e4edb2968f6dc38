//go:build linux && faults

package faults

import (
	"math/rand/v2"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/weir-go/weir/internal/sock"
)

// scarce are the errors by which a kernel says that it has no more of something.
// Whoever has bounds hears of them, and lets nobody in for a while.
var scarce = []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}

// ends are the errors of each call that concern one socket, or nothing at all.
var ends = [sock.Calls][]syscall.Errno{
	sock.CallBind:      {syscall.EADDRINUSE},
	sock.CallConnect:   {syscall.ECONNREFUSED, syscall.EINTR, syscall.ENETUNREACH, syscall.EADDRNOTAVAIL, syscall.ENOBUFS},
	sock.CallConnected: {syscall.ECONNREFUSED, syscall.ETIMEDOUT},
	sock.CallName:      {syscall.ENOBUFS},
	sock.CallAccept:    {syscall.ECONNABORTED, syscall.EINTR, syscall.EAGAIN, syscall.EPROTO},
	sock.CallRecv:      {syscall.EINTR, syscall.EAGAIN, syscall.EAGAIN, syscall.ECONNRESET, syscall.ETIMEDOUT, syscall.ENOMEM},
	sock.CallSend:      {syscall.EINTR, syscall.EAGAIN, syscall.EAGAIN, syscall.EPIPE, syscall.ECONNRESET, syscall.ENOBUFS, syscall.ENOMEM},
	sock.CallShutdown:  {syscall.ENOTCONN},
	sock.CallDup:       {syscall.EMFILE},
	sock.CallClose:     {syscall.EINTR, syscall.EIO},
	sock.CallWatch:     {syscall.ENOMEM, syscall.ENOSPC},
}

var names = [sock.Calls]string{"socket", "bind", "connect", "the result of connect", "getsockname", "accept",
	"recv", "send", "shutdown", "fcntl", "close", "epoll_ctl"}

// hurt lets one call of rate fail; those that make a descriptor for want of it,
// if short.
type hurt struct {
	rate  int
	short bool
	hits  *[sock.Calls]atomic.Int64 // of each call
	cuts  *atomic.Int64
}

func (h hurt) inject() { sock.Inject(&sock.Faults{Fail: h.fail, Cut: h.cut}) }

func (h hurt) fail(c sock.Call, fd int) syscall.Errno {
	if rand.IntN(h.rate) != 0 {
		return 0
	}
	list := ends[c]
	if h.short && (c == sock.CallAccept || c == sock.CallSocket) {
		list = scarce
	}
	if len(list) == 0 {
		return 0
	}
	e := list[rand.IntN(len(list))]
	if e == syscall.EAGAIN && c != sock.CallAccept && over(fd) {
		return 0
	}
	if c == sock.CallShutdown {
		unix.Shutdown(fd, unix.SHUT_RDWR) // which is what not being connected means
	}
	h.hits[c].Add(1)
	return e
}

// over reports whether the peer has ended its side. A kernel would not say EAGAIN
// then, and there is nothing to come that would have a reader or a writer try
// again.
func over(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(p, 0)
	return err != nil || n > 0
}

func (h hurt) cut(_, n int) int {
	if rand.IntN(h.rate) != 0 {
		return n
	}
	h.cuts.Add(1)
	return 1 + rand.IntN(n)
}
