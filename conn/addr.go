package conn

import (
	"net/netip"

	"github.com/weir-go/weir/internal/sock"
)

// Addr is where a socket is: an IP address with a port, or the path of a Unix
// socket ("@name" in Linux's abstract namespace). One of the two is set; the
// zero Addr is unknown or unnamed.
type Addr struct {
	IP   netip.AddrPort
	Path string
}

// TCP returns the Addr of an IP address and port.
func TCP(ap netip.AddrPort) Addr { return Addr{IP: ap} }

// Unix returns the Addr of a Unix socket's path.
func Unix(path string) Addr { return Addr{Path: path} }

// ParseAddr reads "tcp://127.0.0.1:9000", "tcp://[::1]:9000", "tcp://:9000"
// (all addresses), "unix:///run/x.sock", "unix://@abstract", or a bare
// "127.0.0.1:9000". It resolves no names: that is netconn.Dialer's work.
func ParseAddr(s string) (Addr, error) {
	a, err := sock.ParseAddr(s)
	return Addr(a), err
}

// Network returns "tcp" or "unix".
func (a Addr) Network() string { return sock.Addr(a).Network() }

// String returns "127.0.0.1:9000" or the path.
func (a Addr) String() string { return sock.Addr(a).String() }

// IsUnix reports whether a is a Unix socket's path.
func (a Addr) IsUnix() bool { return a.Path != "" }
