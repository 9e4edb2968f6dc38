//go:build linux

// Command rawloop is the floor in Go: the same server as cepoll, one goroutine locked to its thread that calls
// recvfrom and sendto without telling the scheduler. It shows what the language and its runtime cost below any
// library: nothing here can be left out, and nothing here can be used for more than an echo.
package main

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/weir-go/weir/bench/internal/line"
)

func main() {
	listener, addr, err := listen()
	if err == nil {
		err = start(listener)
	}
	if err == nil {
		err = line.Serve(os.Stdin, os.Stdout, addr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "rawloop:", err)
		os.Exit(1)
	}
}

func listen() (fd int, addr string, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, "", os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return -1, "", os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(fd, 4096); err != nil {
		return -1, "", os.NewSyscallError("listen", err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		return -1, "", os.NewSyscallError("getsockname", err)
	}
	return fd, fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port), nil
}

// loop is one epoll set, one buffer and one thread.
type loop struct {
	ep, listener int
	buffer       [64 << 10]byte
}

func start(listener int) error {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	l := &loop{ep: ep, listener: listener}
	if err := l.watch(listener); err != nil {
		return err
	}
	go l.run()
	return nil
}

func (l *loop) watch(fd int) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &e))
}

// run never returns. Only the wait is an ordinary system call that gives its P away: the others don't block.
func (l *loop) run() {
	runtime.LockOSThread()
	var events [256]unix.EpollEvent
	for {
		n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.ep), uintptr(unsafe.Pointer(&events)),
			uintptr(len(events)), ^uintptr(0), 0, 0)
		if errno != 0 {
			n = 0 // interrupted: nothing else can happen to a set that stays open
		}
		for i := range int(n) {
			if fd := int(events[i].Fd); fd == l.listener {
				l.acceptAll()
			} else {
				l.echo(fd)
			}
		}
	}
}

func (l *loop) acceptAll() {
	for {
		fd, _, err := unix.Accept4(l.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		if l.watch(fd) != nil {
			unix.Close(fd)
		}
	}
}

// echo reads once: level-triggered, what is left over is shown again by the next wait.
func (l *loop) echo(fd int) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&l.buffer)),
		uintptr(len(l.buffer)), 0, 0, 0)
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return
	}
	if errno != 0 || n == 0 || !sendAll(fd, l.buffer[:n]) {
		unix.Close(fd)
	}
}

// sendAll waits where the socket is full: every driver reads what it has asked for, so it never waits for long.
func sendAll(fd int, b []byte) bool {
	for len(b) > 0 {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])),
			uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			b = b[n:]
		case unix.EAGAIN:
			unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1)
		case unix.EINTR:
		default:
			return false
		}
	}
	return true
}
