//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"math"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SetNoDelay sends small writes at once (on) or lets the kernel gather them
// while data is unacknowledged. New sockets gather. TCP only: a Unix socket
// gives an error.
func SetNoDelay(fd int, on bool) error {
	return set(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, boolInt(on))
}

// SetKeepAlive sets how a silent peer is probed. TCP only. EINVAL for times
// that are negative or that the system does not take (Linux: over 32,767 s;
// more than 127 probes).
func SetKeepAlive(fd int, k KeepAlive) error {
	if k.Disable {
		return set(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
	}
	if k.Idle < 0 || k.Interval < 0 || k.Count < 0 {
		return os.NewSyscallError("setsockopt", unix.EINVAL)
	}
	if err := tuneKeepAlive(fd, k); err != nil {
		return err
	}
	return set(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
}

// SetReadBuffer asks for a receive buffer of n bytes. Linux doubles n for its
// own bookkeeping and caps it at net.core.rmem_max without an error; it also
// stops adapting the size to the connection.
func SetReadBuffer(fd, n int) error { return set(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n) }

// SetWriteBuffer asks for a send buffer of n bytes, as SetReadBuffer does.
func SetWriteBuffer(fd, n int) error { return set(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, n) }

// ReadBuffer returns the size of the receive buffer in bytes as the kernel
// counts it (on Linux twice what was asked for).
func ReadBuffer(fd int) (int, error) { return get(fd, unix.SOL_SOCKET, unix.SO_RCVBUF) }

// WriteBuffer returns the size of the send buffer in bytes as the kernel
// counts it (on Linux twice what was asked for).
func WriteBuffer(fd int) (int, error) { return get(fd, unix.SOL_SOCKET, unix.SO_SNDBUF) }

// SetLinger says what Close does with bytes that are not sent yet.
//
//	d < 0   Close returns at once, the kernel goes on sending (the default)
//	d == 0  they are thrown away and a TCP peer gets a reset
//	d > 0   Close blocks its thread until they are acknowledged, d at most,
//	        also on a non-blocking socket: not for event loops
func SetLinger(fd int, d time.Duration) error {
	var l unix.Linger
	if d >= 0 {
		l.Onoff, l.Linger = 1, int32(roundUp(d, time.Second))
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptLinger(fd, unix.SOL_SOCKET, soLinger, &l))
}

// TakeError returns and clears the error that is pending on fd, as a bare
// syscall.Errno (the call that failed is not known), or nil.
func TakeError(fd int) error {
	errno, err := get(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if errno != 0 {
		return syscall.Errno(errno)
	}
	return nil
}

func set(fd, level, option, value int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, option, value))
}

func get(fd, level, option int) (int, error) {
	n, err := unix.GetsockoptInt(fd, level, option)
	return n, os.NewSyscallError("getsockopt", err)
}

// setTimes is the part of tuneKeepAlive that systems share: they differ in the
// name of the first option only.
func setTimes(fd int, k KeepAlive, idle, interval, count int) error {
	for _, o := range [...]struct{ option, value int }{
		{idle, roundUp(k.Idle, time.Second)},
		{interval, roundUp(k.Interval, time.Second)},
		{count, k.Count},
	} {
		if o.value == 0 {
			continue
		}
		if err := set(fd, unix.IPPROTO_TCP, o.option, o.value); err != nil {
			return err
		}
	}
	return nil
}

// roundUp counts the units in d. Up, because a short time must not become 0,
// which means something else to the kernel; never more than an int32 holds.
func roundUp(d, unit time.Duration) int {
	n := d / unit
	if d%unit > 0 {
		n++
	}
	return int(min(n, math.MaxInt32))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
