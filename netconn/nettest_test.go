package netconn_test

import (
	"net"
	"testing"
	"unsafe"

	"golang.org/x/net/nettest"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

// TestConn is the suite of the Go project for everything that calls itself a
// net.Conn, with Weir on both ends and on one.
func TestConn(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp6", "unix"} {
		t.Run(network, func(t *testing.T) {
			rt := start(t, conn.Config{})
			l := listen(t, rt, at(t, network))
			stock, err := net.Listen(stockListen(t, network))
			ok(t, err)
			defer stock.Close()
			weir := &netconn.Dialer{Runtime: rt}

			t.Run("both", func(t *testing.T) { nettest.TestConn(t, pipe(l, weir.Dial)) })
			t.Run("stock client", func(t *testing.T) { nettest.TestConn(t, pipe(l, net.Dial)) })
			t.Run("stock server", func(t *testing.T) { nettest.TestConn(t, pipe(stock, weir.Dial)) })
		})
	}
}

func stockListen(t testing.TB, network string) (string, string) {
	a := at(t, network)
	return a.Network(), a.String()
}

// pipe makes connections for nettest.
func pipe(l net.Listener, dial func(network, address string) (net.Conn, error)) nettest.MakePipe {
	return func() (client, server net.Conn, stop func(), err error) {
		client, err = dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			return nil, nil, nil, err
		}
		server, err = l.Accept()
		if err != nil {
			client.Close()
			return nil, nil, nil, err
		}
		return client, server, func() { client.Close(); server.Close() }, nil
	}
}

// TestConnIsSmall: what a connection costs is what conn makes of it.
func TestConnIsSmall(t *testing.T) {
	want(t, unsafe.Sizeof(netconn.Conn{}), 2*unsafe.Sizeof(uintptr(0)))
}
