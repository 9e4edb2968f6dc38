//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// maxPath is the longest path that fits a socket address with its final NUL.
var maxPath = len(unix.RawSockaddrUnix{}.Path) - 1

// domain returns the address family of a.
func domain(a Addr) (int, error) {
	switch {
	case a.IsUnix():
		return unix.AF_UNIX, nil
	case !a.IP.IsValid():
		return 0, badAddr("", "neither IP nor path")
	case a.IP.Addr().Unmap().Is4():
		return unix.AF_INET, nil
	}
	return unix.AF_INET6, nil
}

// toSockaddr turns a into what the system calls take.
func toSockaddr(a Addr) (unix.Sockaddr, error) {
	if a.IsUnix() {
		return unixSockaddr(a.Path)
	}
	if !a.IP.IsValid() {
		return nil, badAddr("", "neither IP nor path")
	}
	ip, port := a.IP.Addr().Unmap(), int(a.IP.Port())
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: port, Addr: ip.As4()}, nil
	}
	zone, err := zoneIndex(ip.Zone())
	if err != nil {
		return nil, err
	}
	return &unix.SockaddrInet6{Port: port, Addr: ip.As16(), ZoneId: zone}, nil
}

func unixSockaddr(path string) (unix.Sockaddr, error) {
	switch {
	case len(path) > maxPath:
		return nil, badAddr(path, "the path is too long for a socket")
	case isAbstract(path) && !hasAbstract:
		return nil, badAddr(path, "this system has no abstract sockets")
	}
	// A NUL inside is refused: the kernel would cut a path there.
	for i := range len(path) {
		if path[i] == 0 {
			return nil, badAddr(path, "the path holds a NUL byte")
		}
	}
	return &unix.SockaddrUnix{Name: path}, nil
}

// isAbstract reports whether path is a name in Linux' abstract namespace. No
// other system lets such a name through toSockaddr.
func isAbstract(path string) bool { return path[0] == '@' }

// fromSockaddr is the way back. What is not IP or Unix, and a Unix socket
// without a name, gives the zero Addr.
func fromSockaddr(sa unix.Sockaddr) Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return Addr{IP: netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))}
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 && ip.Is6() {
			ip = ip.WithZone(zoneString(sa.ZoneId))
		}
		return Addr{IP: netip.AddrPortFrom(ip, uint16(sa.Port))}
	case *unix.SockaddrUnix:
		// x/sys reads an unnamed Linux socket as an abstract one of no name.
		if sa.Name == "@" && hasAbstract {
			return Addr{}
		}
		return Addr{Path: sa.Name}
	}
	return Addr{}
}
