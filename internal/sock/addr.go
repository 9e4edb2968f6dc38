package sock

import (
	"fmt"
	"net/netip"
	"strings"
)

// Addr says where a socket is: an IP address and port, or the path of a Unix
// socket. A path that starts with "@" names a socket in Linux' abstract
// namespace (a file of such a name is reached as "./@name"). One of the two is
// set; the zero Addr means unknown or unnamed. Addrs compare with ==.
type Addr struct {
	IP   netip.AddrPort
	Path string
}

// IsUnix reports whether a is the address of a Unix socket.
func (a Addr) IsUnix() bool { return a.Path != "" }

// IsValid reports whether a says anything: the zero Addr does not.
func (a Addr) IsValid() bool { return a.Path != "" || a.IP.IsValid() }

// Network returns "tcp" or "unix", and "" for the zero Addr.
func (a Addr) Network() string {
	switch {
	case a.IsUnix():
		return "unix"
	case a.IP.IsValid():
		return "tcp"
	}
	return ""
}

// String returns the address as package net would print it: "127.0.0.1:9000",
// "[::1]:9000", "/run/x.sock", "@abstract", and "" for the zero Addr.
func (a Addr) String() string {
	if !a.IsUnix() && a.IP.IsValid() {
		return a.IP.String()
	}
	return a.Path
}

// URL returns the address in the form that ParseAddr turns back into the same
// Addr: "tcp://127.0.0.1:9000", "unix:///run/x.sock". "" for the zero Addr.
func (a Addr) URL() string {
	if !a.IsValid() {
		return ""
	}
	return a.Network() + "://" + a.String()
}

// ParseAddr reads an address:
//
//	tcp://127.0.0.1:9000   tcp://[::1]:80   tcp://[fe80::1%2]:80
//	tcp://:9000            the unspecified address, [::]
//	unix:///run/x.sock     unix://@abstract
//	127.0.0.1:9000         short for tcp://
//
// Host names and names of ports are refused: nothing here asks a resolver.
// IPv4 addresses mapped into IPv6 become IPv4. Every error is an ErrAddr.
func ParseAddr(s string) (Addr, error) {
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		scheme, rest = "tcp", s
	}
	switch scheme {
	case "tcp":
		return parseIP(s, rest)
	case "unix":
		return parsePath(s, rest)
	}
	return Addr{}, badAddr(s, "want tcp:// or unix://")
}

func parseIP(whole, s string) (Addr, error) {
	if strings.HasPrefix(s, ":") {
		s = "[::]" + s
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return Addr{}, badAddr(whole, "want IP:PORT in digits, no names")
	}
	return Addr{IP: unmap(ap)}, nil
}

func parsePath(whole, path string) (Addr, error) {
	switch {
	case path == "" || path == "@":
		// A lone "@" would ask the kernel to choose a name, and it is also how
		// an unnamed socket reads.
		return Addr{}, badAddr(whole, "the path is empty")
	case strings.IndexByte(path, 0) >= 0:
		return Addr{}, badAddr(whole, "the path holds a NUL byte")
	}
	return Addr{Path: path}, nil
}

// unmap turns ::ffff:a.b.c.d into a.b.c.d, so that one peer has one address
// whichever kind of listener took it.
func unmap(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func badAddr(s, why string) error { return fmt.Errorf("%w %q: %s", ErrAddr, s, why) }
