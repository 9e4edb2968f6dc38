package netconn_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/certs"
	"github.com/weir-go/weir/netconn"
)

func serverTLS() *tls.Config {
	cert, _ := certs.Identity()
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

func clientTLS() *tls.Config {
	_, pool := certs.Identity()
	return &tls.Config{RootCAs: pool, ServerName: certs.Name}
}

// TestTLS: both ends, every kind of socket, more than one record each way.
func TestTLS(t *testing.T) {
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		c, s := pair(t, rt, network)
		client, server := tls.Client(c, clientTLS()), tls.Server(s, serverTLS())
		var g tasks
		g.do(func() error { _, err := io.Copy(server, server); server.CloseWrite(); return err })
		message := bytesOf(5, 3<<20)
		g.do(func() error {
			if _, err := client.Write(message); err != nil {
				return err
			}
			return client.CloseWrite()
		})
		// CloseWrite says so by an alert: the other direction goes on.
		back, err := io.ReadAll(client)
		ok(t, err)
		want(t, string(back) == string(message), true)
		g.wait(t)
		ok(t, client.Close())
		ok(t, server.Close())
	})
}

// TestTLSHandshakeDeadline: a peer that accepts and says nothing.
func TestTLSHandshakeDeadline(t *testing.T) {
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		c, s := pair(t, rt, network)
		for _, half := range []*tls.Conn{tls.Client(c, clientTLS()), tls.Server(s, serverTLS())} {
			if half.NetConn() == s {
				c.SetDeadline(time.Time{})
				c.Close() // what the client said is enough for no handshake
				if err := half.Handshake(); err == nil {
					t.Fatal("a handshake with nobody")
				}
				continue
			}
			ok(t, half.SetDeadline(time.Now().Add(20*time.Millisecond)))
			err := half.Handshake()
			wantIs(t, err, os.ErrDeadlineExceeded)
			var ne net.Error
			want(t, errors.As(err, &ne) && ne.Timeout(), true)
		}
	})
}

// TestTLSReadDeadlineIsNotTheEnd: after the handshake a read that ran into its
// deadline can be tried again.
func TestTLSReadDeadlineIsNotTheEnd(t *testing.T) {
	rt := start(t, conn.Config{})
	c, s := pair(t, rt, "tcp4")
	client, server := tls.Client(c, clientTLS()), tls.Server(s, serverTLS())
	var g tasks
	g.do(server.Handshake)
	ok(t, client.Handshake())
	g.wait(t)
	for range 3 {
		ok(t, client.SetReadDeadline(time.Now().Add(time.Millisecond)))
		ok(t, lateOnly(discard(client.Read(make([]byte, 1)))))
	}
	ok(t, client.SetReadDeadline(time.Time{}))
	ok(t, discard(server.Write([]byte("x"))))
	ok(t, discard(io.ReadFull(client, make([]byte, 1))))
}

// TestTLSListener: tls.NewListener and tls.DialWithDialer's kind of use, many
// connections at once.
func TestTLSListener(t *testing.T) {
	rt := start(t, conn.Config{})
	l := tls.NewListener(listen(t, rt, loopback4), serverTLS())
	serveEcho(t, l)
	d := &netconn.Dialer{Runtime: rt, Timeout: patience}
	var g tasks
	for i := range 20 {
		g.do(func() error {
			c, err := d.Dial("tcp", l.Addr().String())
			if err != nil {
				return err
			}
			defer c.Close()
			client := tls.Client(c, clientTLS())
			for j := range 20 {
				if err := ask(client, fmt.Appendf(nil, "%d of %d", j, i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	g.wait(t)
}
