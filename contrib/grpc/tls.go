package grpc

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
	"github.com/weir-go/weir/stream"
)

const (
	// handshakes is how many TLS handshakes a Server does at once; connections
	// above are refused.
	handshakes = 1024

	// handshakeTime is how long one may take.
	handshakeTime = 10 * time.Second

	// plainSize holds what a session may leave unconsumed, a frame of 16 KiB
	// and its header, and a TLS record behind it.
	plainSize = 48 << 10

	// restLimit is far above what one flush leaves for later. A peer that makes
	// TLS answer (KeyUpdate) and does not read the answers comes to it.
	restLimit = 4 << 20
)

var errStalled = errors.New("grpc: the peer does not read what TLS answers")

// ServeTLS makes the handlers of connections with TLS:
//
//	rt.Listen(addr, srv.ServeTLS(cfg))
//
// Clients must ask for HTTP/2 (ALPN "h2"), as all gRPC clients do. The handshake
// runs on a goroutine and has 10 s; 1024 at once, further connections are
// refused. Afterwards a connection has no goroutine: the loop itself decrypts
// and encrypts. Handlers find the TLS state in their peer's AuthInfo, a
// credentials.TLSInfo. cfg is copied. As Serve, it refuses when Check has found
// something.
func (s *Server) ServeTLS(cfg *tls.Config) conn.Serve {
	cfg = cfg.Clone()
	if !slices.Contains(cfg.NextProtos, "h2") {
		cfg.NextProtos = append(slices.Clip(cfg.NextProtos), "h2")
	}
	return func(c *conn.Conn) conn.Handler {
		if err := s.fits(); err != nil {
			c.CloseWith(err)
			return nil
		}
		select {
		case s.shaking <- struct{}{}:
		default:
			s.refused.Add(1)
			return nil
		}
		b := c.Block()
		go func() {
			defer func() { <-s.shaking }()
			s.handshake(netconn.FromBlocking(b), c, cfg)
		}()
		return nil
	}
}

// Refused returns how many connections were refused because too many handshakes
// ran, or the server was closed.
func (s *Server) Refused() uint64 { return s.refused.Load() }

// handshake makes a session of a connection, or closes it.
func (s *Server) handshake(nc *netconn.Conn, c *conn.Conn, cfg *tls.Config) {
	t := &tunnel{Conn: nc}
	h := &secured{Conn: c, tls: tls.Server(t, cfg), tunnel: t, attach: s.core.Attach}
	ctx, cancel := context.WithTimeout(s.life, handshakeTime)
	defer cancel()
	if h.tls.HandshakeContext(ctx) != nil || h.tls.ConnectionState().NegotiatedProtocol != "h2" {
		nc.Close() // the alert that says why is out
		return
	}
	t.c = c
	if nc.Callback(h) != nil {
		nc.Close()
		return
	}
	// The client's first bytes may have been read with the handshake's last.
	err := c.Post(func(*conn.Conn) {
		if err := h.Data(c); err != nil {
			c.CloseWith(err)
		}
	})
	if err != nil { // nobody would look at them, nor after them
		c.CloseWith(err)
	}
}

// endHandshakes cancels those there are, waits for their goroutines, and lets no
// more begin: it takes their places for good.
func (s *Server) endHandshakes() {
	s.end()
	s.shaken.Do(func() {
		for range handshakes {
			s.shaking <- struct{}{}
		}
	})
}

// tunnel is what TLS reads and writes: first a blocking connection, then, with
// c set, what lies in the loop's buffers.
type tunnel struct {
	net.Conn
	c *conn.Conn

	// Of the loop.
	rest []byte // records that c had no room for; see restLimit
	err  error  // why c takes no more
}

// errLater is Read's answer when nothing is there. Being temporary, it leaves
// the TLS connection as it is.
type errLater struct{}

func (errLater) Error() string   { return "grpc: no bytes yet" }
func (errLater) Timeout() bool   { return true }
func (errLater) Temporary() bool { return true }

func (t *tunnel) Read(p []byte) (int, error) {
	if t.c == nil {
		return t.Conn.Read(p)
	}
	n := copy(p, t.c.Peek())
	if n == 0 {
		return 0, errLater{}
	}
	t.c.Discard(n)
	return n, nil
}

// Write takes all of a record, or TLS would be broken: what the connection has
// no room for waits here.
func (t *tunnel) Write(p []byte) (n int, err error) {
	if t.c == nil {
		return t.Conn.Write(p)
	}
	if len(t.rest) == 0 {
		n, err = t.c.Write(p)
	}
	if err != nil && !errors.Is(err, conn.ErrFull) {
		t.err = err
		return n, err
	}
	t.rest = append(t.rest, p[n:]...)
	return len(p), nil
}

// flush gives the connection what waits, and reports whether all is gone.
func (t *tunnel) flush() bool {
	if len(t.rest) == 0 {
		return true
	}
	n, err := t.c.Write(t.rest)
	if t.rest = t.rest[n:]; len(t.rest) > 0 {
		if !errors.Is(err, conn.ErrFull) {
			t.c.CloseWith(err)
		}
		return false
	}
	t.rest = nil
	return true
}

// secured is a connection with TLS: the handler of the one below, the Link of the
// session above. All on the loop, but for what a Link may be asked from anywhere.
//
//	conn ─ Data ─► tunnel.Read ─► tls.Read ──► Session.Feed
//	conn ◄──────── tunnel.Write ◄ tls.Write ◄─ Write
type secured struct {
	*conn.Conn
	attach func(stream.Link) *stream.Session
	failed func(error) // of a client: told when no session was begun
	tls    *tls.Conn
	tunnel *tunnel
	sess   *stream.Session
	left   []byte // decrypted, not consumed by the session yet
}

var (
	_ conn.Handler         = (*secured)(nil)
	_ conn.Drainer         = (*secured)(nil)
	_ conn.Poker           = (*secured)(nil)
	_ conn.ShutdownHandler = (*secured)(nil)
	_ stream.Link          = (*secured)(nil)
)

var plains = sync.Pool{New: func() any { return new([plainSize]byte) }}

// Data decrypts what is there and feeds it to the session.
func (h *secured) Data(*conn.Conn) error {
	if h.sess == nil && !h.begin() {
		return nil
	}
	buf := plains.Get().(*[plainSize]byte)
	defer plains.Put(buf)
	for {
		k := copy(buf[:], h.left)
		n, err := h.tls.Read(buf[k:])
		if n > 0 {
			used, err := h.sess.Feed(buf[:k+n])
			if err != nil {
				h.Discard(h.Buffered())
				return nil // the session has closed the connection
			}
			h.left = append(h.left[:0], buf[used:k+n]...)
			if len(h.left) == 0 {
				h.left = nil
			}
		}
		if len(h.tunnel.rest) > restLimit {
			return errStalled
		}
		if _, later := err.(errLater); later {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// begin makes the session; false when there shall be none any more.
func (h *secured) begin() bool {
	if h.sess = h.attach(h); h.sess == nil {
		h.Close()
		return false
	}
	h.sess.SetAuth(credentials.TLSInfo{
		State:          h.tls.ConnectionState(),
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	})
	return true
}

// Closed ends the session.
func (h *secured) Closed(_ *conn.Conn, err error) {
	switch {
	case h.sess != nil:
		h.sess.Lost(err)
	case h.failed != nil:
		h.failed(errEarly)
	}
}

// Drained sends what waits, before the session sends more.
func (h *secured) Drained(*conn.Conn) {
	if h.tunnel.flush() && h.sess != nil {
		h.sess.Drained()
	}
}

// Poked is the session's.
func (h *secured) Poked(*conn.Conn) {
	if h.sess != nil {
		h.sess.Poked()
	}
}

// Shutdown drains the session.
func (h *secured) Shutdown(*conn.Conn) {
	if h.sess == nil {
		h.Close()
		return
	}
	h.sess.Drain()
}

// Write encrypts p. It takes all or nothing: ErrFull while earlier records wait.
func (h *secured) Write(p []byte) (int, error) {
	switch {
	case h.tunnel.err != nil:
		return 0, h.tunnel.err
	case len(h.tunnel.rest) > 0:
		return 0, conn.ErrFull
	}
	n, err := h.tls.Write(p)
	if h.tunnel.err != nil { // as the connection has put it
		err = h.tunnel.err
	}
	return n, err
}

// AppendShared encrypts a copy: each connection's bytes are its own.
func (h *secured) AppendShared(s *conn.Shared) error {
	_, err := h.Write(s.Bytes())
	return err
}

// Room is the connection's, none while records wait.
func (h *secured) Room() int {
	if len(h.tunnel.rest) > 0 {
		return 0
	}
	return h.Conn.Room()
}

// Pending counts the records that wait, too.
func (h *secured) Pending() int { return h.Conn.Pending() + len(h.tunnel.rest) }

// Close says goodbye and closes when what was accepted is sent. Records that
// still wait are lost: their peer reads nothing.
func (h *secured) Close() error {
	h.tls.CloseWrite()
	return h.Conn.Close()
}
