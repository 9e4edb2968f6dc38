package proxyproto_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/proxyproto"
)

func TestMain(m *testing.M) { leak.Main(m) }

var loopbacks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// says answers with the header, and what came first.
type says struct{ h proxyproto.Header }

func (s says) Data(c *conn.Conn) error {
	fmt.Fprintf(c, "%v %d %s", s.h.Source, s.h.Version, c.Peek())
	c.Discard(c.Buffered())
	return c.Close()
}

func (says) Closed(*conn.Conn, error) {}

// listen starts a listener and returns its address, and the causes of connections
// that ended before next was asked.
func listen(t *testing.T, cfg proxyproto.Config, next func(*conn.Conn, proxyproto.Header) conn.Handler) (addr string, ends chan error) {
	t.Helper()
	ends = make(chan error, 16)
	rt, err := conn.Start(conn.Config{Loops: 1, Trace: &conn.Trace{Closed: func(_ *conn.Conn, err error) { ends <- err }}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rt.Close() })
	ln, err := rt.Listen(conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")), cfg.Serve(next))
	if err != nil {
		t.Fatal(err)
	}
	return ln.Addr().String(), ends
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return nc
}

const line = "PROXY TCP4 203.0.113.7 10.0.0.1 51234 443\r\n"

func TestServe(t *testing.T) {
	next := func(_ *conn.Conn, h proxyproto.Header) conn.Handler { return says{h} }
	for name, test := range map[string]struct {
		cfg   proxyproto.Config
		parts []string
		want  string
	}{
		"all at once":   {proxyproto.Config{Trusted: loopbacks}, []string{line + "hello"}, "203.0.113.7:51234 1 hello"},
		"in two":        {proxyproto.Config{Trusted: loopbacks}, []string{line[:20], line[20:] + "hello"}, "203.0.113.7:51234 1 hello"},
		"header, bytes": {proxyproto.Config{Trusted: loopbacks}, []string{line, "hello"}, "203.0.113.7:51234 1 hello"},
		"not trusted":   {proxyproto.Config{}, []string{"hello"}, "invalid AddrPort 0 hello"},
		"mapped":        {proxyproto.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("::ffff:127.0.0.0/104")}}, []string{line + "hello"}, "203.0.113.7:51234 1 hello"},
		"a liar":        {proxyproto.Config{}, []string{line}, "invalid AddrPort 0 " + line},
	} {
		t.Run(name, func(t *testing.T) {
			addr, _ := listen(t, test.cfg, next)
			nc := dial(t, addr)
			for _, p := range test.parts {
				io.WriteString(nc, p)
			}
			if got, err := io.ReadAll(nc); string(got) != test.want || err != nil {
				t.Errorf("%q, %v, want %q", got, err, test.want)
			}
		})
	}
}

// TestByteByByte: however a header comes in pieces.
func TestByteByByte(t *testing.T) {
	addr, _ := listen(t, proxyproto.Config{Trusted: loopbacks}, func(_ *conn.Conn, h proxyproto.Header) conn.Handler { return says{h} })
	nc := dial(t, addr)
	for i := range len(line) {
		io.WriteString(nc, line[i:i+1])
	}
	io.WriteString(nc, "x")
	if got, err := io.ReadAll(nc); string(got) != "203.0.113.7:51234 1 x" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestNoHeader: a trusted peer that sends something else, or nothing, is closed.
func TestNoHeader(t *testing.T) {
	next := func(*conn.Conn, proxyproto.Header) conn.Handler { t.Error("asked"); return nil }
	for say, want := range map[string]error{"GET /": proxyproto.ErrHeader, line[:30]: proxyproto.ErrTime, "": proxyproto.ErrTime} {
		cfg := proxyproto.Config{Trusted: loopbacks, Time: time.Minute}
		if want == proxyproto.ErrTime {
			cfg.Time = 20 * time.Millisecond
		}
		addr, ends := listen(t, cfg, next)
		nc := dial(t, addr)
		io.WriteString(nc, say)
		if err := <-ends; err != want {
			t.Errorf("%q: %v, want %v", say, err, want)
		}
	}
}

// TestNextMayTakeOver, and the header's time is nothing to it then. On a busy
// machine the header itself may be late, so the time grows.
func TestNextMayTakeOver(t *testing.T) {
	for time := 20 * time.Millisecond; ; time *= 8 {
		addr, ends := listen(t, proxyproto.Config{Trusted: loopbacks, Time: time}, takesOver(2*time))
		nc := dial(t, addr)
		io.WriteString(nc, line+"hello")
		got, err := io.ReadAll(nc)
		if <-ends == proxyproto.ErrTime {
			continue
		}
		if string(got) != "hello" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		return
	}
}

// takesOver is a next that echoes five bytes on a goroutine, after a while.
func takesOver(while time.Duration) func(*conn.Conn, proxyproto.Header) conn.Handler {
	return func(c *conn.Conn, h proxyproto.Header) conn.Handler {
		b := c.Block()
		go func() {
			defer b.Close()
			<-time.After(while)
			p := make([]byte, 5)
			io.ReadFull(b, p)
			b.Write(p)
		}()
		return nil
	}
}

// TestNextMayWantNone of it.
func TestNextMayWantNone(t *testing.T) {
	addr, _ := listen(t, proxyproto.Config{Trusted: loopbacks}, func(*conn.Conn, proxyproto.Header) conn.Handler { return nil })
	nc := dial(t, addr)
	io.WriteString(nc, "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")
	if got, err := io.ReadAll(nc); len(got) != 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestCountersAndGuard: the Guard is asked about the client, who is the connection's
// Remote from then on; and all that happens is counted.
func TestCountersAndGuard(t *testing.T) {
	guard, err := bounds.NewGuard(bounds.GuardConfig{Proxies: loopbacks, Conns: 1, Deny: []netip.Prefix{netip.MustParsePrefix("203.0.113.66/32")}})
	if err != nil {
		t.Fatal(err)
	}
	ends, refusals := make(chan error, 16), make(chan error, 16)
	rt, err := conn.Start(conn.Config{Loops: 1, Trace: &conn.Trace{
		Closed:  func(_ *conn.Conn, err error) { ends <- err },
		Refused: func(_ *conn.Listener, err error) { refusals <- err },
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	counters := new(proxyproto.Counters)
	listen := func(time time.Duration) string {
		cfg := proxyproto.Config{Trusted: loopbacks, Time: time, Counters: counters}
		ln, err := conn.ListenConfig{Guard: guard}.Listen(rt, conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")),
			cfg.Serve(func(c *conn.Conn, h proxyproto.Header) conn.Handler {
				fmt.Fprintf(c, "%v", c.Remote().IP)
				return says{h}
			}))
		if err != nil {
			t.Fatal(err)
		}
		return ln.Addr().String()
	}
	patient, hasty := listen(time.Minute), listen(20*time.Millisecond)
	speak := func(header string) (net.Conn, string) {
		at := patient
		if header == "" {
			at = hasty
		}
		nc := dial(t, at)
		io.WriteString(nc, header)
		p := make([]byte, 64)
		n, _ := nc.Read(p)
		return nc, string(p[:n])
	}
	first, heard := speak(line)
	if heard != "203.0.113.7:51234" {
		t.Errorf("the client is %q", heard)
	}
	for header, want := range map[string]error{
		line:    bounds.ErrConns,
		"GET /": proxyproto.ErrHeader,
		"PROXY TCP4 203.0.113.66 10.0.0.1 51234 443\r\n": bounds.ErrDenied,
		"": proxyproto.ErrTime,
	} {
		speak(header)
		if err := <-ends; err != want {
			t.Errorf("%q: %v, want %v", header, err, want)
		}
	}
	if a, b := <-refusals, <-refusals; a == b {
		t.Errorf("refusals: %v, %v", a, b)
	}
	first.Close()
	<-ends
	const v2 = "\r\n\r\n\x00\r\nQUIT\n"
	speak(v2 + "\x20\x00\x00\x00")
	if _, heard := speak(v2 + "\x21\x11\x00\x0c\xcb\x00\x71\x07\x0a\x00\x00\x01\xc8\x22\x01\xbb"); heard != "203.0.113.7:51234" {
		t.Errorf("once he has left, the client is %q", heard)
	}
	if s := counters.Stats(); s != (proxyproto.Stats{V1: 3, V2: 1, Nameless: 1, Malformed: 1, Late: 1, Refused: 2}) {
		t.Errorf("%+v", s)
	}
}
