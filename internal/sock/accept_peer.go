//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import "golang.org/x/sys/unix"

// setPeer fills p from sa: accept goes through x/sys here.
func setPeer(p *Peer, sa unix.Sockaddr) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		p.set4(sa.Addr, uint16(sa.Port))
	case *unix.SockaddrInet6:
		p.set6(sa.Addr, uint16(sa.Port), sa.ZoneId)
	default:
		*p = Peer{}
	}
}
