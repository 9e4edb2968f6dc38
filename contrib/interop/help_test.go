package interop_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/netconn"
)

func TestMain(m *testing.M) { leak.Main(m) }

// patience bounds waits that end at once unless something is broken.
const patience = await.Patience

func start(t testing.TB) *conn.Runtime {
	t.Helper()
	rt, err := conn.Start(conn.Config{})
	ok(t, err)
	t.Cleanup(func() { rt.Close() })
	return rt
}

// face is one side's way to the network: Weir's or package net's.
type face struct {
	name   string
	listen func(rt *conn.Runtime) (net.Listener, error)
	dial   func(rt *conn.Runtime) func(ctx context.Context, network, address string) (net.Conn, error)
}

var weir = face{
	name: "weir",
	listen: func(rt *conn.Runtime) (net.Listener, error) {
		return netconn.Listen(rt, conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")))
	},
	dial: func(rt *conn.Runtime) func(ctx context.Context, network, address string) (net.Conn, error) {
		return (&netconn.Dialer{Runtime: rt}).DialContext
	},
}

var stock = face{
	name:   "stock",
	listen: func(*conn.Runtime) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
	dial: func(*conn.Runtime) func(ctx context.Context, network, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext
	},
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, got, expected any) {
	t.Helper()
	if got != expected {
		t.Fatalf("got %v, want %v", got, expected)
	}
}

// until waits for something that nothing signals.
var until = await.Until

// parallel runs f n times at once.
func parallel(t testing.TB, n int, f func(i int) error) {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	ok(t, errors.Join(errs...))
}
