package netconn_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/ports"
	"github.com/weir-go/weir/netconn"
)

// TestAcceptQueueIsBounded: what nobody accepts and does not fit is closed and
// counted, and what fits stays good.
func TestAcceptQueueIsBounded(t *testing.T) {
	rt := start(t, conn.Config{Loops: 1})
	l := listenWith(t, rt, loopback4, netconn.ListenConfig{Queue: 2})
	var clients []*netconn.Conn
	for range 5 {
		clients = append(clients, dial(t, rt, l.Addr()))
	}
	// They are accepted in the order they connected in.
	for _, c := range clients[2:] {
		if _, err := c.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("got %v, want the connection closed", err)
		}
	}
	want(t, l.Refused(), uint64(3))
	want(t, l.Waiting(), 2)
	for _, c := range clients[:2] {
		echoOnce(t, c, accept(t, l))
	}
	// There is room again.
	echoOnce(t, dial(t, rt, l.Addr()), accept(t, l))
}

// TestAcceptErrors: of Accept software sees a closed listener and a deadline,
// as in package net, and nothing else.
func TestAcceptErrors(t *testing.T) {
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		stock, err := net.Listen(stockListen(t, network))
		ok(t, err)
		defer stock.Close()
		weir := listen(t, rt, at(t, network))

		late := func(l net.Listener) error {
			ok(t, l.(interface{ SetDeadline(time.Time) error }).SetDeadline(past))
			_, err := l.Accept()
			return err
		}
		want(t, shapeOf(late(weir)), shapeOf(late(stock)))

		// One in flight follows its deadline, as a Read does.
		ok(t, weir.SetDeadline(time.Time{}))
		var g tasks
		for range 3 {
			g.do(func() error { return lateOnly(acceptError(weir)) })
		}
		parked(t, "netconn.(*Listener).Accept", 3)
		ok(t, weir.SetDeadline(time.Now().Add(time.Millisecond)))
		g.wait(t)

		ok(t, weir.SetDeadline(time.Time{}))
		for range 3 {
			g.do(func() error { return closedOnly(acceptError(weir)) })
		}
		parked(t, "netconn.(*Listener).Accept", 3)
		ok(t, weir.Close())
		g.wait(t)
		ok(t, stock.Close())
		_, expected := stock.Accept()
		want(t, shapeOf(acceptError(weir)), shapeOf(expected))
		want(t, shapeOf(weir.Close()), shapeOf(stock.Close()))
		want(t, shapeOf(weir.SetDeadline(past)).closed, true)
	})
}

func acceptError(l net.Listener) error {
	_, err := l.Accept()
	return err
}

// TestListenErrors: the address is taken.
func TestListenErrors(t *testing.T) {
	rt := start(t, conn.Config{})
	stock, err := net.Listen("tcp4", "127.0.0.1:0")
	ok(t, err)
	defer stock.Close()
	to, err := conn.ParseAddr(stock.Addr().String())
	ok(t, err)
	_, err = netconn.Listen(rt, to)
	wantIs(t, err, syscall.EADDRINUSE)
	_, expected := net.Listen("tcp", stock.Addr().String())
	want(t, shapeOf(err), shapeOf(expected))
}

// TestCloseFreesThePort at once, with connections accepted, queued and dialing.
func TestCloseFreesThePort(t *testing.T) {
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		where := at(t, network)
		if network != "unix" { // which stays this test's meanwhile
			where = conn.TCP(ports.Hold(t, where.IP.Addr().String()))
		}
		l := listen(t, rt, where)
		to := l.Addr()
		for i := range 30 {
			queued := dial(t, rt, to)
			accepted := dial(t, rt, to)
			until(t, "both are queued", func() bool { return l.Waiting() == 2 })
			server := accept(t, l)
			ok(t, l.Close())
			// Nobody has accepted the other: it is closed.
			for _, c := range []*netconn.Conn{queued, accepted} {
				if c.LocalAddr().String() == server.RemoteAddr().String() && network != "unix" {
					echoOnce(t, c, server)
				}
			}
			stock, err := net.Listen(to.Network(), to.String())
			if err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
			ok(t, stock.Close())
			queued.Close()
			accepted.Close()
			server.Close()
			l = listen(t, rt, where)
		}
	})
}

// TestCloseEndsTheQueue: a connection that waited for an Accept which never
// came is closed with the listener.
func TestCloseEndsTheQueue(t *testing.T) {
	rt := start(t, conn.Config{})
	l := listen(t, rt, loopback4)
	c := dial(t, rt, l.Addr())
	until(t, "it is queued", func() bool { return l.Waiting() == 1 })
	ok(t, l.Close())
	if _, err := c.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got %v, want the connection closed", err)
	}
}

// TestRuntimeEndsAccept: a server whose runtime was shut down does not hang.
func TestRuntimeEndsAccept(t *testing.T) {
	ends := map[string]func(rt *conn.Runtime) error{
		"Close":    (*conn.Runtime).Close,
		"Shutdown": func(rt *conn.Runtime) error { return rt.Shutdown(within(t)) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			rt := start(t, conn.Config{})
			l := listen(t, rt, loopback4)
			var g tasks
			g.do(func() error { return closedOnly(acceptError(l)) })
			parked(t, "netconn.(*Listener).Accept", 1)
			ok(t, end(rt))
			g.wait(t)
		})
	}
}

// TestListenerFile: the duplicate goes on listening when the Listener has
// closed, and can be adopted.
func TestListenerFile(t *testing.T) {
	rt := start(t, conn.Config{Loops: 1})
	l := listen(t, rt, loopback4)
	f, err := l.File()
	ok(t, err)
	to := l.Addr()
	ok(t, l.Close())
	stock, err := net.FileListener(f)
	ok(t, err)
	ok(t, f.Close())
	defer stock.Close()
	c := dial(t, rt, to)
	s, err := stock.Accept()
	ok(t, err)
	defer s.Close()
	ok(t, discard(s.Write([]byte("hi"))))
	ok(t, discard(io.ReadFull(c, make([]byte, 2))))
}

// TestAdopt takes over a socket that package net opened.
func TestAdopt(t *testing.T) {
	rt := start(t, conn.Config{})
	stock, err := net.Listen("tcp4", "127.0.0.1:0")
	ok(t, err)
	f, err := stock.(*net.TCPListener).File()
	ok(t, err)
	ok(t, stock.Close())
	fd, err := syscall.Dup(int(f.Fd()))
	ok(t, err)
	ok(t, f.Close())
	l, err := netconn.ListenConfig{}.Adopt(rt, fd)
	ok(t, err)
	defer l.Close()
	want(t, l.Addr().String(), stock.Addr().String())
	echoOnce(t, dial(t, rt, l.Addr()), accept(t, l))
}

// TestSyscallConnAndFile: software that wants the descriptor gets it.
func TestSyscallConnAndFile(t *testing.T) {
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		client, server := pair(t, rt, network)
		raw, err := client.SyscallConn()
		ok(t, err)
		var kind int
		cerr := raw.Control(func(fd uintptr) {
			kind, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TYPE)
		})
		ok(t, errors.Join(cerr, err))
		want(t, kind, syscall.SOCK_STREAM)
		rawEcho(t, raw, server)

		f, err := client.File()
		ok(t, err)
		defer f.Close()
		ok(t, client.Close())
		// The duplicate keeps the socket open, though the Conn is gone.
		var g tasks
		g.do(func() error { return discard(f.Write([]byte("from the file"))) })
		p := make([]byte, 13)
		ok(t, discard(io.ReadFull(server, p)))
		want(t, string(p), "from the file")
		g.wait(t)
		if f.Name() == "" {
			t.Error("the file has no name")
		}
	})
}

// rawEcho reads through RawConn.Read, which must wait, and writes through
// RawConn.Write.
func rawEcho(t *testing.T, raw syscall.RawConn, peer *netconn.Conn) {
	var g tasks
	g.do(func() error {
		p := make([]byte, 8)
		n, err := 0, error(nil)
		rerr := raw.Read(func(fd uintptr) bool {
			n, err = syscall.Read(int(fd), p)
			return err != syscall.EAGAIN
		})
		if rerr != nil || err != nil || n != 3 {
			return fmt.Errorf("raw read: %d, %v, %v", n, err, rerr)
		}
		return raw.Write(func(fd uintptr) bool {
			_, err = syscall.Write(int(fd), p[:n])
			return true
		})
	})
	parked(t, "netconn.rawConn.Read", 1)
	ok(t, ask(peer, []byte("raw")))
	g.wait(t)
}

// TestOptions reach the socket.
func TestOptions(t *testing.T) {
	rt := start(t, conn.Config{})
	c, _ := pair(t, rt, "tcp4")
	option := func(level, name int) int {
		raw, err := c.SyscallConn()
		ok(t, err)
		var v int
		ok(t, raw.Control(func(fd uintptr) { v, err = syscall.GetsockoptInt(int(fd), level, name) }))
		ok(t, err)
		return v
	}
	on := func(v int) bool { return v != 0 }

	want(t, on(option(syscall.IPPROTO_TCP, syscall.TCP_NODELAY)), true)
	ok(t, c.SetNoDelay(false))
	want(t, on(option(syscall.IPPROTO_TCP, syscall.TCP_NODELAY)), false)
	want(t, on(option(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)), true)
	ok(t, c.SetKeepAlive(false))
	want(t, on(option(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)), false)
	ok(t, c.SetKeepAlivePeriod(time.Minute))
	want(t, on(option(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)), true)
	ok(t, c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Hour}))
	ok(t, c.SetReadBuffer(1<<16))
	ok(t, c.SetWriteBuffer(1<<16))
	if v := option(syscall.SOL_SOCKET, syscall.SO_SNDBUF); v < 1<<16 {
		t.Errorf("SO_SNDBUF is %d", v)
	}

	u, _ := pair(t, rt, "unix")
	var op *net.OpError
	var sys *os.SyscallError
	if err := u.SetNoDelay(true); !errors.As(err, &op) || !errors.As(err, &sys) {
		t.Errorf("SetNoDelay on a Unix socket: %v", err)
	}
}
