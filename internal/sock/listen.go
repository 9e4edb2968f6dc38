//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"errors"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Listen opens a listening socket on a; port 0 lets the kernel choose
// (LocalAddr tells). The caller accepts from it and closes it.
//
// TCP: a port whose last connections still linger can be bound (SO_REUSEADDR).
// [::] takes IPv4 too unless V6Only; where the machine has no IPv6 it becomes
// 0.0.0.0.
//
// Unix: a socket file that nobody listens on any more is removed first; one
// that somebody listens on, and a file that is no socket, is EADDRINUSE. The
// check and the bind are two steps, so of two processes that start on one
// path in the same instant the later may take the name from the earlier. The
// file outlives Close: who closes the listener calls Unlink.
func Listen(a Addr, c ListenConfig) (fd int, err error) {
	fd, err = listen(a, &c)
	if err != nil && !c.V6Only && a.IP.Addr() == netip.IPv6Unspecified() &&
		(errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
		a.IP = netip.AddrPortFrom(netip.IPv4Unspecified(), a.IP.Port())
		return listen(a, &c)
	}
	return fd, err
}

func listen(a Addr, c *ListenConfig) (int, error) {
	fd, err := Socket(a)
	if err != nil {
		return -1, err
	}
	if a.IsUnix() {
		err = listenUnix(fd, a, c)
	} else {
		err = listenTCP(fd, a, c)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func listenTCP(fd int, a Addr, c *ListenConfig) error {
	if err := set(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if c.ReusePort {
		if err := set(fd, unix.SOL_SOCKET, soReusePort, 1); err != nil {
			return err
		}
	}
	if !a.IP.Addr().Unmap().Is4() {
		// Always said, because the system's default can be changed
		// (net.ipv6.bindv6only). Only refusing to be strict is an error:
		// OpenBSD knows no dual stack and says so.
		err := set(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, boolInt(c.V6Only))
		if err != nil && c.V6Only {
			return err
		}
	}
	if c.NoDelay {
		if err := SetNoDelay(fd, true); err != nil {
			return err
		}
	}
	if err := SetKeepAlive(fd, c.KeepAlive); err != nil {
		return err
	}
	if err := setBuffers(fd, c); err != nil {
		return err
	}
	sa, err := toSockaddr(a)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, sa); err != nil {
		return os.NewSyscallError("bind", err)
	}
	return startListening(fd, c)
}

func listenUnix(fd int, a Addr, c *ListenConfig) error {
	if err := setBuffers(fd, c); err != nil {
		return err
	}
	sa, err := toSockaddr(a)
	if err != nil {
		return err
	}
	err = unix.Bind(fd, sa)
	if err == unix.EADDRINUSE && removeStale(a.Path, sa) {
		err = unix.Bind(fd, sa)
	}
	if err != nil {
		return os.NewSyscallError("bind", err)
	}
	isFile := !isAbstract(a.Path)
	// Between bind and listen nobody can connect, so nobody gets in under the
	// umask's permissions.
	if isFile && c.UnixMode != 0 {
		err = os.NewSyscallError("chmod", unix.Chmod(a.Path, c.UnixMode))
	}
	if err == nil {
		err = startListening(fd, c)
	}
	if err != nil && isFile {
		unix.Unlink(a.Path)
	}
	return err
}

// removeStale removes the socket file at path when nobody listens on it, and
// reports whether binding again is worth it.
func removeStale(path string, sa unix.Sockaddr) bool {
	if isAbstract(path) {
		return false // abstract names end with their socket
	}
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return false
	}
	probe, err := socket(unix.AF_UNIX)
	if err != nil {
		return false
	}
	err = unix.Connect(probe, sa)
	unix.Close(probe)
	// A full backlog is EAGAIN, a datagram socket EPROTOTYPE, another user's
	// EACCES: all of them alive.
	return err == unix.ECONNREFUSED && unix.Unlink(path) == nil
}

func setBuffers(fd int, c *ListenConfig) error {
	if c.ReadBuffer != 0 {
		if err := SetReadBuffer(fd, c.ReadBuffer); err != nil {
			return err
		}
	}
	if c.WriteBuffer != 0 {
		return SetWriteBuffer(fd, c.WriteBuffer)
	}
	return nil
}

func startListening(fd int, c *ListenConfig) error {
	backlog := c.Backlog
	if backlog <= 0 {
		backlog = defaultBacklog
	}
	return os.NewSyscallError("listen", unix.Listen(fd, backlog))
}
