package netconn_test

import (
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// full listens on an address, which may be one that is held, with a full backlog:
// a connect to it hangs, since Linux drops the handshake's first packet then. It
// returns the address.
func full(t testing.TB, address string) string {
	t.Helper()
	ap := netip.MustParseAddrPort(address)
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(ap.Port())})
	if ap.Addr().Is4() {
		sa = &unix.SockaddrInet4{Addr: ap.Addr().As4(), Port: int(ap.Port())}
	} else {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Addr: ap.Addr().As16(), Port: int(ap.Port())}
	}
	socket := func() int {
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		ok(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	l := socket()
	ok(t, unix.SetsockoptInt(l, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	ok(t, unix.Bind(l, sa))
	ok(t, unix.Listen(l, 0))
	sa, err := unix.Getsockname(l)
	ok(t, err)
	for range 4 {
		if err := unix.Connect(socket(), sa); err != nil && err != syscall.EINPROGRESS {
			t.Fatal(err)
		}
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)).String()
	}
	return ""
}
