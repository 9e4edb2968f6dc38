package netconn

import (
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-go/weir/internal/sock"
)

// SetNoDelay sends small writes at once (true, the default) or lets the kernel
// gather them. It is an error on a Unix socket, as is all of keep-alive.
func (c *Conn) SetNoDelay(on bool) error {
	return c.set(func(fd int) error { return sock.SetNoDelay(fd, on) })
}

// SetLinger says what Close does with bytes that the kernel has not sent yet:
// it sends them in the background (sec < 0, the default), throws them away and
// resets the connection (0), or waits for their acknowledgement for that many
// seconds. The last one blocks the thread that closes.
func (c *Conn) SetLinger(sec int) error {
	return c.set(func(fd int) error { return sock.SetLinger(fd, time.Duration(sec)*time.Second) })
}

// SetKeepAlive turns keep-alive probes on, at their present times, or off.
func (c *Conn) SetKeepAlive(on bool) error {
	return c.set(func(fd int) error { return sock.SetKeepAlive(fd, sock.KeepAlive{Disable: !on}) })
}

// SetKeepAlivePeriod sets the silence before the first probe, rounded up to
// whole seconds. d <= 0 changes nothing.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: d, Interval: -1, Count: -1})
}

// SetKeepAliveConfig sets all of keep-alive. As in package net, 0 is the
// default (15 s, every 15 s, 9 probes) and a negative value changes nothing.
func (c *Conn) SetKeepAliveConfig(cfg net.KeepAliveConfig) error {
	k := sock.KeepAlive{
		Disable:  !cfg.Enable,
		Idle:     orDefault(cfg.Idle, 15*time.Second),
		Interval: orDefault(cfg.Interval, 15*time.Second),
		Count:    orDefault(cfg.Count, 9),
	}
	return c.set(func(fd int) error { return sock.SetKeepAlive(fd, k) })
}

// orDefault maps package net's convention to sock's, where 0 changes nothing.
func orDefault[T int | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return max(v, 0)
}

// SetReadBuffer asks the kernel for a receive buffer of n bytes.
func (c *Conn) SetReadBuffer(n int) error {
	return c.set(func(fd int) error { return sock.SetReadBuffer(fd, n) })
}

// SetWriteBuffer asks the kernel for a send buffer of n bytes.
func (c *Conn) SetWriteBuffer(n int) error {
	return c.set(func(fd int) error { return sock.SetWriteBuffer(fd, n) })
}

// set runs f while the descriptor is sure to be open.
func (c *Conn) set(f func(fd int) error) error {
	var err error
	if cerr := c.b.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		err = cerr
	}
	return c.fail("set", err)
}

// File returns a duplicate of the descriptor as a file. Closing one does not
// close the other, but they are one socket: a CloseWrite, an option or a byte
// read through one holds for both.
func (c *Conn) File() (*os.File, error) {
	dup, err := -1, error(nil)
	if cerr := c.b.Control(func(fd uintptr) { dup, err = duplicate(int(fd)) }); cerr != nil {
		err = cerr
	}
	if err != nil {
		return nil, c.fail("file", err)
	}
	return os.NewFile(uintptr(dup), c.fileName()), nil
}

func (c *Conn) fileName() string {
	local, remote := c.LocalAddr(), c.RemoteAddr()
	return local.Network() + ":" + local.String() + "->" + remote.String()
}

// duplicate copies a descriptor so that programs started later do not get it.
func duplicate(fd int) (int, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return dup, os.NewSyscallError("fcntl", err)
}

// SyscallConn gives access to the descriptor. Its Read and Write wait for
// readiness and heed the deadlines; the functions given to it must not close
// the descriptor or make it blocking.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return rawConn{c}, nil }

type rawConn struct{ c *Conn }

func (r rawConn) Control(f func(fd uintptr)) error {
	return r.c.failHere("raw-control", r.c.b.Control(f))
}

func (r rawConn) Read(f func(fd uintptr) (done bool)) error {
	return r.c.fail("raw-read", r.c.b.RawRead(f))
}

func (r rawConn) Write(f func(fd uintptr) (done bool)) error {
	return r.c.fail("raw-write", r.c.b.RawWrite(f))
}
