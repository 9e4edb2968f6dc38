package sock

import (
	"net/netip"
	"strconv"
)

// Peer is the address of an IP peer in 24 bytes without pointers: a table of
// a million of them is nothing for the garbage collector to look at. Peers
// compare with ==. The zero Peer is unknown, as the peers of Unix sockets are.
type Peer struct {
	ip     [16]byte // IPv4 in its mapped form
	zone   uint32   // index of the interface; 0 = none
	port   uint16
	family family
}

// family tells IPv4 from IPv6 in a Peer; zero is neither.
type family uint8

const (
	family4 family = 4
	family6 family = 6
)

// PeerOf packs ap. Mapped IPv4 becomes IPv4. A zone that is neither digits nor
// (on Linux) the name of an interface is lost.
func PeerOf(ap netip.AddrPort) Peer {
	if !ap.IsValid() {
		return Peer{}
	}
	ip := ap.Addr().Unmap()
	p := Peer{ip: ip.As16(), port: ap.Port(), family: family4}
	if ip.Is6() {
		p.family = family6
		p.zone, _ = zoneIndex(ip.Zone())
	}
	return p
}

// IsValid reports whether p is known.
func (p Peer) IsValid() bool { return p.family != 0 }

// AddrPort unpacks p; the zero Peer gives the zero AddrPort.
func (p Peer) AddrPort() netip.AddrPort {
	switch p.family {
	case family4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(p.ip[12:])), p.port)
	case family6:
		ip := netip.AddrFrom16(p.ip)
		if p.zone != 0 {
			ip = ip.WithZone(zoneString(p.zone))
		}
		return netip.AddrPortFrom(ip, p.port)
	}
	return netip.AddrPort{}
}

// Addr unpacks p; the zero Peer gives the zero Addr.
func (p Peer) Addr() Addr { return Addr{IP: p.AddrPort()} }

// String returns p as Addr.String does.
func (p Peer) String() string { return p.Addr().String() }

// set4 and set6 fill p with what the kernel says, without the detour over
// netip: Accept calls them for each connection.
func (p *Peer) set4(ip [4]byte, port uint16) {
	*p = Peer{port: port, family: family4}
	p.ip[10], p.ip[11] = 0xff, 0xff
	copy(p.ip[12:], ip[:])
}

func (p *Peer) set6(ip [16]byte, port uint16, zone uint32) {
	*p = Peer{ip: ip, port: port, family: family6, zone: zone}
	if mapped(&ip) {
		p.family, p.zone = family4, 0
	}
}

// mapped reports whether ip is ::ffff:a.b.c.d.
func mapped(ip *[16]byte) bool {
	return [10]byte(ip[:10]) == [10]byte{} && ip[10] == 0xff && ip[11] == 0xff
}

func zoneString(index uint32) string { return strconv.FormatUint(uint64(index), 10) }

// zoneIndex turns a zone into the index of the interface; "" is 0.
func zoneIndex(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	return zoneByName(zone)
}
