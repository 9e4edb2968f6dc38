package netconn_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

// TestSlowHandshakes: a peer that says nothing and one that says something else reach
// nobody and hold nobody up; both are counted.
func TestSlowHandshakes(t *testing.T) {
	rt := start(t, conn.Config{})
	under := listen(t, rt, loopback4)
	l := netconn.TLSConfig{Config: serverTLS(), Time: 20 * time.Millisecond}.Listen(under)
	silent := dial(t, rt, l.Addr())
	until(t, "it is late", func() bool { return l.Late() == 1 })
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("the silent one is let be")
	}
	ok(t, l.Close())

	l = netconn.TLSConfig{Config: serverTLS(), Time: patience, AtOnce: 3}.Listen(listen(t, rt, loopback4))
	dial(t, rt, l.Addr()) // says nothing
	wrong := dial(t, rt, l.Addr())
	_, err := wrong.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	ok(t, err)
	until(t, "it has failed", func() bool { return l.Failed() == 1 })
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	client := tls.Client(dial(t, rt, l.Addr()), clientTLS())
	ok(t, client.Handshake())
	if s := (<-accepted).(*tls.Conn); !s.ConnectionState().HandshakeComplete {
		t.Error("accepted before its handshake is done")
	} else {
		s.Close()
	}

	// Close ends the handshake of the one that says nothing, and one that waits
	// for Accept.
	waits := tls.Client(dial(t, rt, l.Addr()), clientTLS())
	ok(t, waits.Handshake())
	ok(t, l.Close())
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := waits.Read(make([]byte, 1)); err == nil {
		t.Error("who waited for Accept is let be")
	}
	if l.Late() != 0 || l.Failed() != 1 {
		t.Errorf("%d late, %d failed", l.Late(), l.Failed())
	}
}

// TestTLSListenerEnds with the runtime: what it has accepted is served.
func TestTLSListenerEnds(t *testing.T) {
	rt, err := conn.Start(conn.Config{})
	ok(t, err)
	l := netconn.TLSConfig{Config: serverTLS()}.Listen(listen(t, rt, loopback4))
	ok(t, rt.Close())
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	l.Close()
}

// TestTLSListenerServesHTTP2: net/http finds the protocol that was agreed on.
func TestTLSListenerServesHTTP2(t *testing.T) {
	rt := start(t, conn.Config{})
	cfg := serverTLS()
	cfg.NextProtos = []string{"h2", "http/1.1"}
	l := netconn.TLSConfig{Config: cfg, Time: patience}.Listen(listen(t, rt, loopback4))
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	transport := &http.Transport{TLSClientConfig: clientTLS(), ForceAttemptHTTP2: true}
	client := &http.Client{Transport: transport, Timeout: patience}
	resp, err := client.Get("https://" + l.Addr().String())
	ok(t, err)
	body, err := io.ReadAll(resp.Body)
	ok(t, err)
	want(t, string(body), "HTTP/2.0")
	resp.Body.Close()
	transport.CloseIdleConnections()
	ok(t, server.Close())
	if err := <-served; err != http.ErrServerClosed {
		t.Error(err)
	}
}
