package netconn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/netconn"
)

func TestMain(m *testing.M) { leak.Main(m) }

// patience bounds waits that end at once unless something is broken.
const patience = await.Patience

var loopback4 = conn.TCP(netip.MustParseAddrPort("127.0.0.1:0"))
var loopback6 = conn.TCP(netip.MustParseAddrPort("[::1]:0"))

// start returns a runtime that is closed when the test ends.
func start(t testing.TB, cfg conn.Config) *conn.Runtime {
	t.Helper()
	rt, err := conn.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error("Runtime.Close:", err)
		}
	})
	return rt
}

// at returns where to listen: "tcp4", "tcp6" (skipped where there is none) or
// "unix".
func at(t testing.TB, network string) conn.Addr {
	t.Helper()
	switch network {
	case "tcp4":
		return loopback4
	case "tcp6":
		needIPv6(t)
		return loopback6
	case "unix":
		return conn.Unix(filepath.Join(t.TempDir(), "s"))
	}
	t.Fatalf("no such network: %s", network)
	return conn.Addr{}
}

func needIPv6(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 on this machine:", err)
	}
	l.Close()
}

func listen(t testing.TB, rt *conn.Runtime, to conn.Addr) *netconn.Listener {
	t.Helper()
	return listenWith(t, rt, to, netconn.ListenConfig{})
}

func listenWith(t testing.TB, rt *conn.Runtime, to conn.Addr, lc netconn.ListenConfig) *netconn.Listener {
	t.Helper()
	l, err := lc.Listen(rt, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t testing.TB, rt *conn.Runtime, to net.Addr) *netconn.Conn {
	t.Helper()
	d := netconn.Dialer{Runtime: rt, Timeout: patience}
	c, err := d.Dial(to.Network(), to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*netconn.Conn)
}

func accept(t testing.TB, l *netconn.Listener) *netconn.Conn {
	t.Helper()
	l.SetDeadline(time.Now().Add(patience))
	defer l.SetDeadline(time.Time{})
	c, err := l.AcceptConn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// pair returns the two ends of a connection, both on rt.
func pair(t testing.TB, rt *conn.Runtime, network string) (client, server *netconn.Conn) {
	t.Helper()
	l := listen(t, rt, at(t, network))
	defer l.Close()
	client = dial(t, rt, l.Addr())
	return client, accept(t, l)
}

// each runs a test for every kind of socket.
func each(t *testing.T, test func(t *testing.T, rt *conn.Runtime, network string)) {
	for _, network := range []string{"tcp4", "tcp6", "unix"} {
		t.Run(network, func(t *testing.T) { test(t, start(t, conn.Config{}), network) })
	}
}

// tasks are goroutines of a test; their errors fail it at wait.
type tasks struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func (g *tasks) do(f func() error) {
	g.wg.Go(func() {
		if err := f(); err != nil {
			g.mu.Lock()
			g.errs = append(g.errs, err)
			g.mu.Unlock()
		}
	})
}

func (g *tasks) wait(t testing.TB) {
	t.Helper()
	done := make(chan struct{})
	go func() { g.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		stacks := make([]byte, 1<<20)
		t.Fatalf("still running:\n%s", stacks[:runtime.Stack(stacks, true)])
	}
	if err := errors.Join(g.errs...); err != nil {
		t.Fatal(err)
	}
}

// parked waits until n goroutines that are inside the named function wait for
// something. Nothing signals that, so it looks again and again.
func parked(t testing.TB, function string, n int) {
	t.Helper()
	stacks := make([]byte, 4<<20)
	until(t, fmt.Sprintf("%d parked in %s", n, function), func() bool {
		found := 0
		for g := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			state, _, _ := strings.Cut(g, "\n")
			waits := strings.Contains(state, "[chan receive") || strings.Contains(state, "[select") ||
				strings.Contains(state, "[sync.") || strings.Contains(state, "[semacquire")
			if waits && strings.Contains(g, function+"(") {
				found++
			}
		}
		return found >= n
	})
}

// until waits for something that nothing signals.
var until = await.Until

// within is a context for things that take no time unless they are broken.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// bytesOf returns n bytes that are the same for the same seed.
func bytesOf(seed uint64, n int) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	p := make([]byte, n)
	rand.NewChaCha8(key).Read(p)
	return p
}

func want(t testing.TB, got, expected any) {
	t.Helper()
	if got != expected {
		t.Fatalf("got %v, want %v", got, expected)
	}
}

func wantIs(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got error %v (%T), want one that is %v", err, err, target)
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ask writes and reads the same number of bytes back.
func ask(c io.ReadWriter, p []byte) error {
	if _, err := c.Write(p); err != nil {
		return err
	}
	back := make([]byte, len(p))
	if _, err := io.ReadFull(c, back); err != nil {
		return err
	}
	if string(back) != string(p) {
		return fmt.Errorf("sent %.20q, got %.20q back", p, back)
	}
	return nil
}
