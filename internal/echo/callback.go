package echo

import (
	"context"
	"errors"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/restart"
)

// callback is the whole server. All connections share this one value: it has
// nothing to remember about any of them, so an idle connection costs nothing
// here, and no goroutine anywhere.
type callback struct{}

// Data is called when bytes have come. They are where the kernel put them;
// Write copies what it takes, so they can be discarded at once.
//
//	peer ──► Peek ──► Write ──► peer
//	           └─ what Write refused stays, and after a while the peer is
//	              not read from any more: TCP makes it wait
func (callback) Data(c *conn.Conn) error {
	n, err := c.Write(c.Peek())
	c.Discard(n)
	if errors.Is(err, conn.ErrFull) {
		return nil // the peer sends and doesn't read; Drained goes on
	}
	return err
}

// Drained is called when a peer that was slow has read most of what it is owed.
func (h callback) Drained(c *conn.Conn) {
	if err := h.Data(c); err != nil {
		c.CloseWith(err)
	}
}

// Closed is called last. When the peer has finished, everything was sent back
// before: that is what the runtime does for a handler without an EOF method.
func (callback) Closed(*conn.Conn, error) {}

// serveCallback starts a runtime and listens on it.
func serveCallback(cfg Config) (face, error) {
	cfg.Config.Idle = cfg.MaxIdle
	rt, err := conn.Start(cfg.Config)
	if err != nil {
		return nil, err
	}
	serve := func(*conn.Conn) conn.Handler { return callback{} }
	listeners, err := open(cfg,
		func(at conn.Addr) (*conn.Listener, error) { return rt.Listen(at, serve) },
		func(fd int) (*conn.Listener, error) { return conn.ListenConfig{}.Adopt(rt, fd, serve) })
	if err != nil {
		rt.Close()
		return nil, err
	}
	return &onRuntime{handing(listeners, func(l *conn.Listener) restart.Listener { return l }), rt, listeners[0].Addr()}, nil
}

// onRuntime is what a server is once it stands on a runtime, which knows the
// connections and the counts.
type onRuntime struct {
	sockets
	rt   *conn.Runtime
	addr conn.Addr
}

func (s *onRuntime) Addr() conn.Addr        { return s.addr }
func (s *onRuntime) Runtime() *conn.Runtime { return s.rt }
func (s *onRuntime) Open() int              { return int(s.rt.Stats().Conns) }

func (s *onRuntime) Totals() Totals {
	stats := s.rt.Stats()
	return Totals{Conns: stats.Opened, BytesIn: stats.BytesRead, BytesOut: stats.BytesWritten}
}

func (s *onRuntime) Shutdown(ctx context.Context) error {
	return errors.Join(s.rt.Shutdown(ctx), s.rt.Close())
}

func (s *onRuntime) Close() error { return s.rt.Close() }
