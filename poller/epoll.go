//go:build linux

package poller

import (
	"encoding/binary"
	"math"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// interest is the one registration of every descriptor. EPOLLERR and EPOLLHUP
// are always on.
const interest = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// noPwait2 is set for the process once the kernel has refused epoll_pwait2
// (Linux before 5.11, or a seccomp filter that does not know it). On Android
// the filter kills instead of refusing, so nobody asks there.
var noPwait2 atomic.Bool

func init() { noPwait2.Store(runtime.GOOS == "android") }

// one is what a ring adds to the eventfd. The counter takes 2^64-2 of them.
var one = binary.NativeEndian.AppendUint64(nil, 1)

type kernel struct {
	epfd int
	bell int // eventfd, edge-triggered and never read: each write is an edge

	// Owned by the waiter.
	raw    []unix.EpollEvent // what the kernel fills; as long as the longest evs so far
	ts     timespec
	coarse bool // millisecond timeouts only; set by tests
	park   parking
}

// timespec is struct __kernel_timespec: 64 bits each, on 32-bit machines too,
// unlike unix.Timespec.
type timespec struct{ sec, nsec int64 }

func (k *kernel) open() (err error) {
	k.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	k.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(k.epfd)
		return os.NewSyscallError("eventfd2", err)
	}
	if err = k.ctl(unix.EPOLL_CTL_ADD, k.bell, unix.EPOLLIN|unix.EPOLLET, wakeToken); err != nil {
		k.close()
	}
	return err
}

func (k *kernel) close() {
	k.park.close()
	_ = unix.Close(k.bell)
	_ = unix.Close(k.epfd)
}

func (k *kernel) precise() {}

func (k *kernel) add(fd int, tok Token) error {
	return k.ctl(unix.EPOLL_CTL_ADD, fd, interest, tok)
}

func (k *kernel) remove(fd int) error {
	return k.ctl(unix.EPOLL_CTL_DEL, fd, 0, 0)
}

// ctl puts the token where x/sys has Fd and Pad: together they are the 64 bits
// of epoll_data, at an offset that differs between machines.
func (k *kernel) ctl(op, fd int, events uint32, tok Token) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(tok.Slot()), Pad: int32(tok.Gen())}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(k.epfd, op, fd, &ev))
}

func (k *kernel) wake() error {
	for {
		_, err := unix.Write(k.bell, one)
		if err != unix.EINTR {
			return os.NewSyscallError("write eventfd", err)
		}
	}
}

func (k *kernel) wait(evs []Event, timeout time.Duration) (n int, woken bool, err error) {
	if k.park.on && (timeout < 0 || timeout > ParkLeast) {
		return k.parked(evs, timeout)
	}
	return k.poll(evs, timeout)
}

// poll asks the kernel.
func (k *kernel) poll(evs []Event, timeout time.Duration) (n int, woken bool, err error) {
	if len(k.raw) < len(evs) {
		k.raw = make([]unix.EpollEvent, len(evs))
	}
	got, errno := k.sleep(len(evs), timeout)
	if errno != 0 {
		if errno == unix.EINTR {
			return 0, false, errInterrupted
		}
		return 0, false, os.NewSyscallError("epoll_pwait", errno)
	}
	for i := range k.raw[:got] {
		ev := &k.raw[i]
		tok := MakeToken(uint32(ev.Fd), uint32(ev.Pad))
		if tok == wakeToken {
			woken = true
			continue
		}
		evs[n] = Event{Token: tok, Ready: translate(ev.Events)}
		n++
	}
	return n, woken, nil
}

// translate is laid out for the usual case: one of the first two and nothing
// else.
func translate(e uint32) (r Ready) {
	if e&unix.EPOLLIN != 0 {
		r = Readable
	}
	if e&unix.EPOLLOUT != 0 {
		r |= Writable
	}
	if e&^(unix.EPOLLIN|unix.EPOLLOUT) == 0 {
		return r
	}
	if e&unix.EPOLLRDHUP != 0 {
		r |= Hangup | Readable
	}
	if e&unix.EPOLLHUP != 0 { // both ways are shut: the writer must hear it too
		r |= Hangup | Readable | Writable
	}
	if e&unix.EPOLLERR != 0 {
		r |= Failed | Readable | Writable
	}
	return r
}

// sleep chooses the system call:
//
//	timeout == 0   epoll_pwait, raw: it cannot block, so the scheduler need not know
//	timeout <  0   epoll_pwait
//	timeout >  0   epoll_pwait2 (nanoseconds), or epoll_pwait (milliseconds)
//
// epoll_pwait without a signal mask is epoll_wait, which arm64 does not have.
func (k *kernel) sleep(room int, timeout time.Duration) (int, unix.Errno) {
	if timeout == 0 {
		n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(k.epfd),
			uintptr(unsafe.Pointer(&k.raw[0])), uintptr(room), 0, 0, 0)
		return int(n), errno
	}
	if timeout > 0 && !k.coarse && !noPwait2.Load() {
		k.ts = timespec{sec: int64(timeout / time.Second), nsec: int64(timeout % time.Second)}
		n, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(k.epfd),
			uintptr(unsafe.Pointer(&k.raw[0])), uintptr(room), uintptr(unsafe.Pointer(&k.ts)), 0, 0)
		if errno != unix.ENOSYS && errno != unix.EPERM {
			return int(n), errno
		}
		noPwait2.Store(true)
	}
	ms := millis(timeout)
	n, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(k.epfd),
		uintptr(unsafe.Pointer(&k.raw[0])), uintptr(room), uintptr(ms), 0, 0)
	return int(n), errno
}

// millis rounds up: waking late is right, waking early spins. A wait too long
// for the kernel's 32 bits (24 days) is shortened, Wait sleeps the rest.
func millis(d time.Duration) int {
	if d < 0 {
		return -1
	}
	ms := int64((d-1)/time.Millisecond) + 1
	return int(min(ms, math.MaxInt32))
}
