package netconn_test

import (
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

// TestLeave: another listener takes the connections, and Accept has those that had
// come before.
func TestLeave(t *testing.T) {
	rt, next := start(t, conn.Config{}), start(t, conn.Config{})
	old := listen(t, rt, loopback4)
	early := dial(t, rt, old.Addr())
	until(t, "it is queued", func() bool { return old.Waiting() == 1 })
	fds, err := old.Dups()
	ok(t, err)
	old.Leave()
	l, err := netconn.ListenConfig{}.Adopt(next, fds[0])
	ok(t, err)
	defer l.Close()

	echoOnce(t, dial(t, next, l.Addr()), accept(t, l))
	echoOnce(t, early, accept(t, old))
	var g tasks
	g.do(func() error { return closedOnly(acceptError(old)) })
	parked(t, "netconn.(*Listener).Accept", 1)
	ok(t, old.Close())
	g.wait(t)
	if _, err := netconn.NewListener(&net.TCPAddr{}, 0).Dups(); err == nil {
		t.Error("there is no socket")
	}
}

// TestAdoptAll: of a listener with a socket for each loop all are taken over, and
// nobody waits at one that nobody accepts from.
func TestAdoptAll(t *testing.T) {
	rt, next := start(t, conn.Config{Loops: 2}), start(t, conn.Config{Loops: 2})
	lc := netconn.ListenConfig{ListenConfig: conn.ListenConfig{Balance: conn.PerLoop}}
	old, err := lc.Listen(rt, loopback4)
	ok(t, err)
	fds, err := old.Dups()
	ok(t, err)
	l, err := lc.AdoptAll(next, fds)
	ok(t, err)
	defer l.Close()
	ok(t, old.Close())
	for range 16 {
		echoOnce(t, dial(t, next, l.Addr()), accept(t, l))
	}
	again, err := l.Dups()
	ok(t, err)
	for _, fd := range again {
		syscall.Close(fd)
	}
	if len(again) != len(fds) {
		t.Errorf("%d sockets of %d", len(again), len(fds))
	}
}

// TestCloseAfterLeave: what has come is handed out all the same, also what was still
// on its way to a loop, and then Accept ends.
func TestCloseAfterLeave(t *testing.T) {
	rt, next := start(t, conn.Config{Loops: 2}), start(t, conn.Config{})
	l := listen(t, rt, loopback4)
	early := []*netconn.Conn{dial(t, next, l.Addr()), dial(t, next, l.Addr())}
	until(t, "they are queued", func() bool { return l.Waiting() == 2 })
	l.Leave()
	ok(t, l.Close())
	ok(t, closedOnly(l.Close()))
	for range early {
		c, err := l.AcceptConn()
		ok(t, err)
		go io.Copy(c, c)
	}
	for _, c := range early {
		_, err := c.Write([]byte("x"))
		ok(t, err)
		_, err = io.ReadFull(c, make([]byte, 1))
		ok(t, err)
		ok(t, c.CloseWrite())
	}
	ok(t, closedOnly(acceptError(l)))
}
