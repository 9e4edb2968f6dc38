package netconn

import (
	"net"
	"net/netip"

	"github.com/weir-go/weir/conn"
)

// netAddr makes the address that package net's users expect, and cast to. An
// unknown TCP address is one without an IP.
func netAddr(a conn.Addr, isTCP bool) net.Addr {
	switch {
	case !isTCP:
		return &net.UnixAddr{Name: unixName(a.Path), Net: "unix"}
	case !a.IP.IsValid():
		return &net.TCPAddr{}
	}
	return tcpAddr(a.IP)
}

// unixName shows a socket without a name as package net does.
func unixName(path string) string {
	if path == "" {
		return "@"
	}
	return path
}

// tcpAddr is net.TCPAddrFromAddrPort in one allocation instead of two: servers
// ask for the address of every connection they accept.
func tcpAddr(ap netip.AddrPort) *net.TCPAddr {
	a := &struct {
		net.TCPAddr
		bytes [16]byte
	}{}
	ip := ap.Addr().Unmap()
	if ip.Is4() {
		four := ip.As4()
		a.IP = a.bytes[:copy(a.bytes[:], four[:])]
	} else {
		a.bytes = ip.As16()
		a.IP = a.bytes[:]
	}
	a.Zone, a.Port = ip.Zone(), int(ap.Port())
	return &a.TCPAddr
}

// localFor is the way back, for the address to connect from: it must be of the
// kind of the address to connect to. A TCPAddr without an IP asks for its port
// only.
func localFor(local net.Addr, to conn.Addr) (conn.Addr, error) {
	switch a := local.(type) {
	case nil:
		return conn.Addr{}, nil
	case *net.UnixAddr:
		if to.IsUnix() {
			return conn.Unix(a.Name), nil
		}
	case *net.TCPAddr:
		ip, port := a.AddrPort().Addr().Unmap(), uint16(a.Port)
		switch target := to.IP.Addr().Unmap(); {
		case to.IsUnix():
		case !ip.IsValid() && target.Is4():
			return conn.TCP(netip.AddrPortFrom(netip.IPv4Unspecified(), port)), nil
		case !ip.IsValid():
			return conn.TCP(netip.AddrPortFrom(netip.IPv6Unspecified(), port)), nil
		case ip.Is4() == target.Is4():
			return conn.TCP(netip.AddrPortFrom(ip, port)), nil
		}
	}
	return conn.Addr{}, &net.AddrError{Err: "mismatched local address type", Addr: local.String()}
}
