package netconn_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

// slowly is a server's TLS whose handshakes say when they are under way, and go on
// when they are let.
func slowly() (cfg *tls.Config, begun, on chan struct{}) {
	cfg, begun, on = serverTLS(), make(chan struct{}), make(chan struct{})
	cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		begun <- struct{}{}
		<-on
		return nil, nil
	}
	return cfg, begun, on
}

// secure dials, and shakes hands on a goroutine.
func secure(t *testing.T, rt *conn.Runtime, at net.Addr) (c *tls.Conn, done chan error) {
	t.Helper()
	c, done = tls.Client(dial(t, rt, at), clientTLS()), make(chan error, 1)
	go func() { done <- c.Handshake() }()
	return c, done
}

// met waits for a handshake that begins, and lets one go on.
func met(t *testing.T, begun <-chan struct{}, on chan<- struct{}) {
	t.Helper()
	select {
	case <-begun:
	case on <- struct{}{}:
	case <-time.After(patience):
		t.Fatal("no handshake is under way")
	}
}

func heard(t *testing.T, done chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatal("the handshake hangs")
		return nil
	}
}

// TestTLSCloseAfterLeave: whoever shakes hands when the listener below has left, and
// who waits for that, is served; and then Accept ends.
func TestTLSCloseAfterLeave(t *testing.T) {
	rt := start(t, conn.Config{Loops: 2})
	under := listen(t, rt, loopback4)
	cfg, begun, on := slowly()
	l := netconn.TLSConfig{Config: cfg, Time: patience, AtOnce: 1}.Listen(under)
	first, shaken1 := secure(t, rt, l.Addr())
	met(t, begun, nil)
	second, shaken2 := secure(t, rt, l.Addr())
	until(t, "the second one waits", func() bool { return under.Waiting() == 1 })
	under.Leave()
	ok(t, l.Close())
	ok(t, closedOnly(l.Close()))
	serve := func(client *tls.Conn, shaken chan error) {
		t.Helper()
		met(t, nil, on)
		c, err := l.Accept()
		ok(t, err)
		defer c.Close()
		ok(t, heard(t, shaken))
		go io.Copy(c, c)
		_, err = client.Write([]byte("x"))
		ok(t, err)
		ok(t, client.SetReadDeadline(time.Now().Add(patience)))
		_, err = io.ReadFull(client, make([]byte, 1))
		ok(t, err)
	}
	serve(first, shaken1)
	met(t, begun, nil)
	serve(second, shaken2)
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if l.Late() != 0 || l.Failed() != 0 {
		t.Errorf("%d late, %d failed", l.Late(), l.Failed())
	}
}

// TestTLSCloseAfterLeaveEnds: a handshake that comes to nothing has its time and no
// more, and who is not accepted is not kept.
func TestTLSCloseAfterLeaveEnds(t *testing.T) {
	rt := start(t, conn.Config{})
	under := listen(t, rt, loopback4)
	l := netconn.TLSConfig{Config: serverTLS(), Time: 20 * time.Millisecond}.Listen(under)
	dial(t, rt, l.Addr()) // says nothing
	until(t, "it was accepted", func() bool { return rt.Stats().Accepted == 1 && under.Waiting() == 0 })
	under.Leave()
	ok(t, l.Close())
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	want(t, l.Late(), uint64(1))

	under = listen(t, rt, loopback4)
	cfg, begun, on := slowly()
	l = netconn.TLSConfig{Config: cfg, Time: patience}.Listen(under)
	l.SetPatience(10 * time.Millisecond)
	waits, shaken := secure(t, rt, l.Addr())
	met(t, begun, nil)
	under.Leave()
	ok(t, l.Close())
	met(t, nil, on)
	ok(t, heard(t, shaken))
	ok(t, waits.SetReadDeadline(time.Now().Add(patience)))
	if _, err := waits.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("whom nobody accepts is kept: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
