//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Socket opens a stream socket of a's family, to be given to Connect. The
// caller closes it.
func Socket(a Addr) (fd int, err error) {
	dom, err := domain(a)
	if err != nil {
		return -1, err
	}
	return socket(dom)
}

// Connect begins a connection to a and does not wait for it. done says that it
// stands already; otherwise wait until fd is writable and ask ConnectResult.
// An error means that it will never stand: close fd. A Unix socket whose
// backlog is full gives EAGAIN, which is such an error: there is nothing to
// wait on. The unspecified address connects to the loopback address.
func Connect(fd int, a Addr) (done bool, err error) {
	sa, err := toSockaddr(toLoopback(a))
	if err != nil {
		return false, err
	}
	err = unix.Connect(fd, sa) // first: what is interrupted goes on
	if e := Injected(CallConnect, fd); e != 0 {
		err = e
	}
	switch err {
	case nil, unix.EISCONN:
		return true, nil
	case unix.EINPROGRESS, unix.EALREADY, unix.EINTR:
		// An interrupted connect goes on by itself (POSIX).
		return false, nil
	default:
		return false, os.NewSyscallError("connect", err)
	}
}

// Bind gives fd the local address a, to connect from. Port 0 leaves the port
// to the kernel; Linux then chooses it in Connect, where one port serves many
// remote addresses, so LocalAddr says 0 until there.
func Bind(fd int, a Addr) error {
	sa, err := toSockaddr(a)
	if err != nil {
		return err
	}
	if !a.IsUnix() && a.IP.Port() == 0 {
		choosePortLate(fd)
	}
	if e := Injected(CallBind, fd); e != 0 {
		return os.NewSyscallError("bind", e)
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// toLoopback does on every system what Linux does by itself.
func toLoopback(a Addr) Addr {
	ip := a.IP.Addr().Unmap()
	if a.IsUnix() || !ip.IsUnspecified() {
		return a
	}
	lo := netip.IPv6Loopback()
	if ip.Is4() {
		lo = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return Addr{IP: netip.AddrPortFrom(lo, a.IP.Port())}
}

// ConnectResult says how the connection that Connect began came out: nil when
// it stands, ErrInProgress while it is undecided, else why it failed.
//
// A socket can be reported writable when nothing happened (golang.org/issue
// 14548, 19289), so no error alone is no success: it must have a peer as well.
// The failure is told once (SO_ERROR is cleared by reading it).
func ConnectResult(fd int) error {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if e := Injected(CallConnected, fd); e != 0 {
		errno = int(e)
	}
	switch e := syscall.Errno(errno); e {
	case 0:
	case unix.EISCONN:
		return nil
	case unix.EINPROGRESS, unix.EALREADY, unix.EINTR:
		return ErrInProgress
	default:
		return os.NewSyscallError("connect", e)
	}
	_, err = unix.Getpeername(fd)
	if err == unix.ENOTCONN {
		return ErrInProgress
	}
	return os.NewSyscallError("getpeername", err)
}

// LocalAddr returns the address that fd is bound to; the zero Addr for a Unix
// socket without a name.
func LocalAddr(fd int) (Addr, error) {
	if e := Injected(CallName, fd); e != 0 {
		return Addr{}, os.NewSyscallError("getsockname", e)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return Addr{}, os.NewSyscallError("getsockname", err)
	}
	return fromSockaddr(sa), nil
}

// RemoteAddr returns the address of fd's peer; the zero Addr for a Unix peer
// without a name, which most clients are. ENOTCONN when there is no peer.
func RemoteAddr(fd int) (Addr, error) {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return Addr{}, os.NewSyscallError("getpeername", err)
	}
	return fromSockaddr(sa), nil
}

// Unlink removes the file of a Unix listener that was closed. Abstract names
// and IP addresses leave nothing behind; a file that is gone already is fine.
func Unlink(a Addr) {
	if a.IsUnix() && !isAbstract(a.Path) {
		unix.Unlink(a.Path)
	}
}

// ShutdownRead ends the receiving half: Recv returns what had come, then EOF.
// The peer is not told, and on Linux later bytes still arrive.
func ShutdownRead(fd int) error {
	return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_RD))
}

// ShutdownWrite ends the sending half: the peer reads EOF after what was sent.
func ShutdownWrite(fd int) error {
	if e := Injected(CallShutdown, fd); e != 0 {
		return os.NewSyscallError("shutdown", e)
	}
	return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
}

// Close closes fd. It is gone whatever is returned: calling again would close
// somebody else's.
func Close(fd int) error {
	e := Injected(CallClose, fd) // asked while the number is still this socket's
	err := unix.Close(fd)
	if e != 0 {
		err = e
	}
	if err == unix.EINTR {
		return nil
	}
	return os.NewSyscallError("close", err)
}

// Dup returns a second descriptor for the same socket. Both share their flags,
// options and position in the stream; each must be closed.
func Dup(fd int) (int, error) {
	if e := Injected(CallDup, fd); e != 0 {
		return -1, os.NewSyscallError("fcntl", e)
	}
	nfd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("fcntl", err)
	}
	return nfd, nil
}

// Pair returns two Unix stream sockets connected to each other.
func Pair() ([2]int, error) { return pair() }

// IsListening reports whether fd accepts connections. Not a socket: ENOTSOCK.
func IsListening(fd int) (bool, error) {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && n != 0, os.NewSyscallError("getsockopt", err)
}

// IsStream reports whether fd is a stream socket. Not a socket: ENOTSOCK.
func IsStream(fd int) (bool, error) {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return err == nil && n == unix.SOCK_STREAM, os.NewSyscallError("getsockopt", err)
}

// SetNonblock makes an adopted descriptor non-blocking, for everybody who
// shares it; on macOS it also keeps SIGPIPE away. Descriptors made by this
// package need it not.
func SetNonblock(fd int) error { return os.NewSyscallError("fcntl", prepare(fd)) }

// SetCloseOnExec keeps an adopted descriptor from child processes.
func SetCloseOnExec(fd int) { unix.CloseOnExec(fd) }
