package proxyproto

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

const sig = "\r\n\r\n\x00\r\nQUIT\n"

func header(version int, source, destination string) Header {
	return Header{netip.MustParseAddrPort(source), netip.MustParseAddrPort(destination), version}
}

// accepted are headers, and what they say.
var accepted = map[string]Header{
	"PROXY TCP4 203.0.113.7 10.0.0.1 51234 443\r\n":              header(1, "203.0.113.7:51234", "10.0.0.1:443"),
	"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n": header(1, "255.255.255.255:65535", "255.255.255.255:65535"),
	"PROXY TCP6 2001:db8::1 ::1 0 1\r\n":                         header(1, "[2001:db8::1]:0", "[::1]:1"),
	"PROXY UNKNOWN\r\n":                                          {Version: 1},
	"PROXY UNKNOWN ffff::1 what ever 65535 65535\r\n":            {Version: 1},

	sig + "\x21\x11\x00\x0c" + "\xcb\x00\x71\x07\x0a\x00\x00\x01\xc8\x22\x01\xbb":                                                                       header(2, "203.0.113.7:51234", "10.0.0.1:443"),
	sig + "\x21\x11\x00\x0f" + "\xcb\x00\x71\x07\x0a\x00\x00\x01\xc8\x22\x01\xbb" + "TLV":                                                               header(2, "203.0.113.7:51234", "10.0.0.1:443"),
	sig + "\x21\x21\x00\x24" + "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + strings.Repeat("\x00", 15) + "\x01\xc8\x22\x01\xbb": header(2, "[2001:db8::1]:51234", "[::1]:443"),
	sig + "\x20\x00\x00\x00":                            {Version: 2}, // a health check
	sig + "\x20\x11\x00\x0c" + strings.Repeat("x", 12):  {Version: 2},
	sig + "\x21\x31\x00\xd8" + strings.Repeat("/", 216): {Version: 2}, // a Unix socket
	sig + "\x21\x00\x00\x02ab":                          {Version: 2},
	sig + "\x21\x12\x00\x0c" + strings.Repeat("x", 12):  {Version: 2}, // UDP
}

// TestAccepted: each header is read whole, whatever follows, and nothing of it
// before it is all there.
func TestAccepted(t *testing.T) {
	for text, want := range accepted {
		for _, behind := range []string{"", "G", "\r\n", text} {
			if h, n, err := Parse([]byte(text + behind)); h != want || n != len(text) || err != nil {
				t.Errorf("%q and %q: %+v, %d, %v", text, behind, h, n, err)
			}
		}
		for i := range text {
			if h, n, err := Parse([]byte(text[:i])); h != (Header{}) && h.Version != want.Version || n != 0 || err != nil {
				t.Errorf("%q: %+v, %d, %v", text[:i], h, n, err)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{
		"GET / HTTP/1.1\r\n", "P ROXY", "proxy TCP4", "PROXY\r\n", "PROXY \r\n", "PROXY TCP4\r\n", "\r\n\r\n\x01",
		"PROXY TCP4 203.0.113.7 10.0.0.1 51234\r\n",
		"PROXY TCP4 203.0.113.7 10.0.0.1 51234 443 \r\n",
		"PROXY TCP4  203.0.113.7 10.0.0.1 51234 443\r\n",
		"PROXY TCP4 203.0.113.7 10.0.0.1 65536 443\r\n",
		"PROXY TCP4 203.0.113.7 10.0.0.1 +1 443\r\n",
		"PROXY TCP4 203.0.113.7 10.0.0.1 01 443\r\n",
		"PROXY TCP4 203.0.113.07 10.0.0.1 1 443\r\n",
		"PROXY TCP4 2001:db8::1 ::1 1 443\r\n",
		"PROXY TCP6 203.0.113.7 10.0.0.1 1 443\r\n",
		"PROXY TCP6 fe80::1%eth0 ::1 1 443\r\n",
		"PROXY UDP4 203.0.113.7 10.0.0.1 1 443\r\n",
		"PROXY UNKNOWN " + strings.Repeat("x", 200),
		"PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", // 108 bytes
		sig + "\x22", sig + "\x11", sig + "\x00",
		sig + "\x21\x11\x00\x0b" + strings.Repeat("x", 11),
		sig + "\x21\x21\x00\x23" + strings.Repeat("x", 35),
		sig + "\x21\x11\x10\x00",
	} {
		if h, n, err := Parse([]byte(text)); h != (Header{}) || n != 0 || err != ErrHeader {
			t.Errorf("%q: %+v, %d, %v", text, h, n, err)
		}
	}
}

// FuzzParse: a header is within its bounds, is the same whatever follows, and is
// not there before it is all there.
func FuzzParse(f *testing.F) {
	for _, text := range slices.Sorted(maps.Keys(accepted)) { // a seed goes by its number
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		h, n, err := Parse(p)
		if n < 0 || n > len(p) || n > maxBinary || err != nil && (n != 0 || h != Header{}) {
			t.Fatalf("%+v, %d, %v", h, n, err)
		}
		if n == 0 {
			if err == nil && len(p) >= maxBinary {
				t.Fatalf("%d bytes, and still it may become one", len(p))
			}
			return
		}
		if again, m, err := Parse(p[:n]); again != h || m != n || err != nil {
			t.Fatalf("alone: %+v, %d, %v", again, m, err)
		}
		for i := range n {
			if _, m, err := Parse(p[:i]); m != 0 || err != nil {
				t.Fatalf("%d of %d bytes: %d, %v", i, n, m, err)
			}
		}
	})
}
