package proxyproto_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

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
		addr, ends := listen(t, proxyproto.Config{Trusted: loopbacks, Time: 20 * time.Millisecond}, next)
		nc := dial(t, addr)
		io.WriteString(nc, say)
		if err := <-ends; err != want {
			t.Errorf("%q: %v, want %v", say, err, want)
		}
	}
}

// TestNextMayTakeOver, or want none of it.
func TestNextMayTakeOver(t *testing.T) {
	addr, _ := listen(t, proxyproto.Config{Trusted: loopbacks, Time: 20 * time.Millisecond}, func(c *conn.Conn, h proxyproto.Header) conn.Handler {
		if h.Version == 1 {
			b := c.Block()
			go func() {
				defer b.Close()
				<-time.After(40 * time.Millisecond) // the header's time is over, which is nothing to it
				p := make([]byte, 5)
				io.ReadFull(b, p)
				b.Write(p)
			}()
		}
		return nil
	})
	nc := dial(t, addr)
	io.WriteString(nc, line+"hello")
	if got, err := io.ReadAll(nc); string(got) != "hello" || err != nil {
		t.Errorf("taken over: %q, %v", got, err)
	}
	nc = dial(t, addr)
	io.WriteString(nc, "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")
	if got, err := io.ReadAll(nc); len(got) != 0 || err != nil {
		t.Errorf("not wanted: %q, %v", got, err)
	}
}
