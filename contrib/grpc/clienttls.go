package grpc

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
	"github.com/weir-go/weir/stream"
)

var (
	errNoH2  = errors.New("grpc: the server does not speak HTTP/2")
	errEarly = errors.New("grpc: the connection ended before its session began")
)

// secure makes connections with TLS.
func (cc *ClientConn) secure(cfg *ClientConfig) {
	t := cfg.TLS.Clone()
	if !slices.Contains(t.NextProtos, "h2") {
		t.NextProtos = append(slices.Clip(t.NextProtos), "h2")
	}
	if t.ServerName == "" {
		t.ServerName = cfg.Authority
		if t.ServerName == "" && len(cfg.Targets) > 0 {
			t.ServerName = cfg.Targets[0].String()
		}
		if host, _, err := net.SplitHostPort(t.ServerName); err == nil {
			t.ServerName = host
		}
	}
	cfg.Connect = func(c *conn.Conn, attach func(stream.Link) *stream.Session, failed func(error)) conn.Handler {
		if !cc.shake() {
			failed(errEarly)
			return nil
		}
		b := c.Block()
		go func() {
			defer cc.shaking.Done()
			cc.handshake(netconn.FromBlocking(b), c, t, attach, failed)
		}()
		return nil
	}
}

// shake counts a handshake; false when there shall be none any more.
func (cc *ClientConn) shake() bool {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	if !cc.closed {
		cc.shaking.Add(1)
	}
	return !cc.closed
}

// handshake makes a session of a connection, or closes it.
func (cc *ClientConn) handshake(nc *netconn.Conn, c *conn.Conn, cfg *tls.Config, attach func(stream.Link) *stream.Session, failed func(error)) {
	t := &tunnel{Conn: nc}
	h := &secured{Conn: c, tls: tls.Client(t, cfg), tunnel: t, attach: attach, failed: failed}
	ctx, cancel := context.WithTimeout(cc.life, handshakeTime)
	defer cancel()
	err := h.tls.HandshakeContext(ctx)
	if err == nil && h.tls.ConnectionState().NegotiatedProtocol != "h2" {
		err = errNoH2
	}
	if err == nil {
		t.c = c
		err = nc.Callback(h)
	}
	if err == nil {
		err = c.Post(func(*conn.Conn) {
			if err := h.Data(c); err != nil {
				c.CloseWith(err)
			}
		})
	}
	if err != nil {
		nc.Close()
		failed(err)
	}
}
