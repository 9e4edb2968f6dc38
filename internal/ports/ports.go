// Package ports has tests use TCP ports that are nobody else's.
//
// A port that was free a moment ago may be taken by now: the system gives it to
// the next listener, and to the next connection, of any process of the machine.
// One that is held is bound by a socket that does not listen:
//
//	held ──► who connects is refused
//	     ──► the test's servers listen there, end, and come back
//	     ──► others are given another port
//
// On Linux a port is held until the test ends. Elsewhere a second socket cannot
// have the address, and Hold returns a port that was free.
package ports

import (
	"errors"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// tries bounds how often another port is chosen because somebody has one.
const tries = 100

const loopback = "127.0.0.1"

// Held is a port that is held.
type Held struct {
	Addr netip.AddrPort // on the first of its hosts
	fds  []int
}

// Hold holds one port on all of hosts, which are addresses of this machine,
// 127.0.0.1 if there are none, until the test ends. A server that is to listen
// there has to set SO_REUSEADDR, as package net and package conn do.
func Hold(t testing.TB, hosts ...string) netip.AddrPort {
	t.Helper()
	h, err := Bind(0, hosts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h.Addr
}

// Bind is Hold for a port that the caller has chosen, 0 for any, and until Close.
// An error that is syscall.EADDRINUSE means that somebody has it.
func Bind(port uint16, hosts ...string) (*Held, error) {
	if len(hosts) == 0 {
		hosts = []string{loopback}
	}
	for n := 1; ; n++ {
		h, err := bind(port, hosts)
		if err == nil || port != 0 || n == tries || !errors.Is(err, syscall.EADDRINUSE) {
			return h, err
		}
	}
}

// bind takes the port for itself alone, also from others who hold one, and only
// then lets servers have it, too.
func bind(port uint16, hosts []string) (_ *Held, err error) {
	h := &Held{}
	defer func() {
		if err != nil || runtime.GOOS != "linux" {
			h.Close()
		}
	}()
	for i, host := range hosts {
		at, err := h.add(host, port)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			h.Addr, port = at, at.Port()
		}
	}
	for _, fd := range h.fds {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	return h, nil
}

// add binds one more socket and returns its address.
func (h *Held) add(host string, port uint16) (netip.AddrPort, error) {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	family, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: ip.As16(), Port: int(port)})
	if ip.Is4() {
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Addr: ip.As4(), Port: int(port)}
	}
	syscall.ForkLock.RLock() // no child has it
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return netip.AddrPort{}, os.NewSyscallError("socket", err)
	}
	h.fds = append(h.fds, fd)
	if family == unix.AF_INET6 { // the same port of IPv4 is one of hosts or not
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return netip.AddrPort{}, os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return netip.AddrPort{}, os.NewSyscallError("bind", err)
	}
	switch sa, err := unix.Getsockname(fd); sa := sa.(type) {
	case *unix.SockaddrInet4:
		port = uint16(sa.Port)
	case *unix.SockaddrInet6:
		port = uint16(sa.Port)
	default:
		return netip.AddrPort{}, os.NewSyscallError("getsockname", err)
	}
	return netip.AddrPortFrom(ip, port), nil
}

// Close lets go of the port. What listens there goes on.
func (h *Held) Close() {
	for _, fd := range h.fds {
		unix.Close(fd)
	}
	h.fds = nil
}

// Again calls f with addresses of 127.0.0.1 whose ports were free a moment ago,
// one after the other, until it returns something else than syscall.EADDRINUSE,
// which is returned. It is for sockets that want a port for themselves alone, as
// those that connect do: they cannot have one that is held.
func Again(t testing.TB, f func(at netip.AddrPort) error) error {
	t.Helper()
	for n := 1; ; n++ {
		h, err := Bind(0)
		if err != nil {
			t.Fatal(err)
		}
		h.Close()
		err = f(h.Addr)
		if n == tries || !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
}
