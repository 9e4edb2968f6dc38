package sock

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"unsafe"
)

func TestParseAddr(t *testing.T) {
	for _, c := range []struct{ in, network, out string }{
		{"tcp://127.0.0.1:9000", "tcp", "127.0.0.1:9000"},
		{"127.0.0.1:9000", "tcp", "127.0.0.1:9000"},
		{"tcp://0.0.0.0:0", "tcp", "0.0.0.0:0"},
		{"tcp://[::1]:80", "tcp", "[::1]:80"},
		{"[::1]:80", "tcp", "[::1]:80"},
		{"tcp://:9000", "tcp", "[::]:9000"},
		{":9000", "tcp", "[::]:9000"},
		{"tcp://[fe80::1%7]:80", "tcp", "[fe80::1%7]:80"},
		{"tcp://[::ffff:10.0.0.1]:80", "tcp", "10.0.0.1:80"},
		{"unix:///run/x.sock", "unix", "/run/x.sock"},
		{"unix://x.sock", "unix", "x.sock"},
		{"unix://@abstract", "unix", "@abstract"},
		{"unix://127.0.0.1:80", "unix", "127.0.0.1:80"},
	} {
		a, err := ParseAddr(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if a.Network() != c.network || a.String() != c.out || a.IsUnix() != (c.network == "unix") {
			t.Errorf("%s: %s %s, want %s %s", c.in, a.Network(), a, c.network, c.out)
		}
		if back, err := ParseAddr(a.URL()); back != a || err != nil {
			t.Errorf("%s: %s reads back as %v, %v", c.in, a.URL(), back, err)
		}
	}
}

func TestParseAddrRefuses(t *testing.T) {
	for _, in := range []string{
		"", "tcp://", "unix://", "unix://@", "unix://a\x00b", "localhost:80", "tcp://localhost:80",
		"127.0.0.1", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80", "[::1]", "[127.0.0.1]:80",
		"udp://127.0.0.1:80", "/run/x.sock", "TCP://127.0.0.1:80", "tcp://127.0.0.1:80/", " 127.0.0.1:80", "://",
	} {
		if a, err := ParseAddr(in); !errors.Is(err, ErrAddr) || a != (Addr{}) {
			t.Errorf("%q: %v, %v, want ErrAddr", in, a, err)
		}
	}
}

func TestZeroAddrIsUnknown(t *testing.T) {
	var a Addr
	if a.IsValid() || a.IsUnix() || a.Network() != "" || a.String() != "" || a.URL() != "" {
		t.Errorf("%q %q %q", a.Network(), a.String(), a.URL())
	}
	if _, err := Socket(a); !errors.Is(err, ErrAddr) && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Socket: %v", err)
	}
}

func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{
		"tcp://127.0.0.1:9000", "tcp://[::1]:80", "tcp://:9000", "unix:///run/x.sock", "unix://@a",
		"127.0.0.1:9000", "[fe80::1%eth0]:1", "[::ffff:1.2.3.4]:5", "tcp://", "unix://@", "a://b://c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddr(s)
		if err != nil {
			if !errors.Is(err, ErrAddr) || a.IsValid() {
				t.Fatalf("%q: %v, %v", s, a, err)
			}
			return
		}
		if a.IsUnix() == a.IP.IsValid() {
			t.Fatalf("%q: %+v is not exactly one of the two", s, a)
		}
		if strings.IndexByte(a.Path, 0) >= 0 || a.IP.Addr().Is4In6() {
			t.Fatalf("%q: %+v", s, a)
		}
		if back, err := ParseAddr(a.URL()); err != nil || back != a {
			t.Fatalf("%q: %q reads back as %v, %v", s, a.URL(), back, err)
		}
		if p := PeerOf(a.IP); a.IP.IsValid() && p.Addr().IP.Port() != a.IP.Port() {
			t.Fatalf("%q: peer %v", s, p)
		}
	})
}

func TestPeerKeepsTheAddress(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:9000":         "127.0.0.1:9000",
		"[::1]:80":               "[::1]:80",
		"[::ffff:10.0.0.1]:80":   "10.0.0.1:80",
		"[fe80::1%7]:65535":      "[fe80::1%7]:65535",
		"[2001:db8::ffff:1]:1":   "[2001:db8::ffff:1]:1",
		"[fe80::1%no-such-if]:1": "[fe80::1]:1",
	} {
		p := PeerOf(netip.MustParseAddrPort(in))
		if p.String() != want || !p.IsValid() {
			t.Errorf("%s: %s, want %s", in, p, want)
		}
		if p != PeerOf(netip.MustParseAddrPort(want)) {
			t.Errorf("%s: not equal to the same peer", in)
		}
	}
	var none Peer
	if none != PeerOf(netip.AddrPort{}) || none.IsValid() || none.Addr() != (Addr{}) {
		t.Errorf("zero peer: %v", none)
	}
}

func TestPeerIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Peer{}); n > 24 {
		t.Errorf("%d bytes", n)
	}
}
