package ports_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"

	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/internal/ports"
)

func TestMain(m *testing.M) { leak.Main(m) }

// both is this machine's addresses, as far as it has them.
func both(t *testing.T) []string {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return []string{"127.0.0.1", "127.0.0.2"}
	}
	l.Close()
	return []string{"127.0.0.1", "::1", "127.0.0.2"}
}

// visit connects, and reports whether somebody listened.
func visit(t *testing.T, at netip.AddrPort) bool {
	t.Helper()
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
		return false
	}
	c.Close()
	return true
}

// TestHold: who connects is refused; a server listens there as often as it likes,
// one at a time; others do not get the port.
func TestHold(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("nothing is held on this system")
	}
	leak.FDs(t)
	hosts := both(t)
	held := ports.Hold(t, hosts...)
	for _, host := range hosts {
		at := netip.AddrPortFrom(netip.MustParseAddr(host), held.Port())
		for range 3 {
			if visit(t, at) {
				t.Errorf("somebody listens on %v", at)
			}
			l, err := net.Listen("tcp", at.String())
			if err != nil {
				t.Fatal(err)
			}
			if !visit(t, at) {
				t.Errorf("nobody listens on %v", at)
			}
			if second, err := net.Listen("tcp", at.String()); err == nil {
				second.Close()
				t.Errorf("two listen on %v", at)
			}
			l.Close()
		}
		if _, err := ports.Bind(at.Port(), host); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("another holds %v: %v", at, err)
		}
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(at)}
		if _, err := d.Dial("tcp", at.String()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%v is a connection's: %v", at, err)
		}
	}
}

// TestBindRefuses what it is told to hold and cannot.
func TestBindRefuses(t *testing.T) {
	leak.FDs(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	for _, test := range []struct {
		host string
		is   error
	}{
		{"127.0.0.1", syscall.EADDRINUSE}, {"192.0.2.1", syscall.EADDRNOTAVAIL}, {"nobody", nil},
	} {
		if h, err := ports.Bind(port, test.host); err == nil || test.is != nil && !errors.Is(err, test.is) || h != nil {
			t.Errorf("%s: %v, %v", test.host, h, err)
		}
	}
	if _, err := ports.Bind(0, "127.0.0.1", "127.0.0.1"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("twice the same: %v", err)
	}
}

// TestAgain: a port that is taken meanwhile is not the last one.
func TestAgain(t *testing.T) {
	leak.FDs(t)
	seen := map[netip.AddrPort]bool{}
	err := ports.Again(t, func(at netip.AddrPort) error {
		if seen[at] = true; len(seen) < 3 {
			return syscall.EADDRINUSE
		}
		return io.EOF
	})
	if err != io.EOF || len(seen) != 3 {
		t.Errorf("%v, after %d ports", err, len(seen))
	}
	n := 0
	err = ports.Again(t, func(netip.AddrPort) error { n++; return syscall.EADDRINUSE })
	if err != syscall.EADDRINUSE || n < 10 || n > 1000 {
		t.Errorf("%v, after %d ports", err, n)
	}
	err = ports.Again(t, func(at netip.AddrPort) error {
		l, err := net.Listen("tcp", at.String())
		if err == nil {
			l.Close()
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
