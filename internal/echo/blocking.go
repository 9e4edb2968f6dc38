package echo

import (
	"context"
	"errors"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
	"github.com/weir-go/weir/restart"
)

// blocking is a server with a goroutine for each connection. The goroutine
// waits for the runtime to say that bytes are there, and reads and writes by
// itself.
type blocking struct {
	onRuntime
	listeners []*netconn.Listener
	buffers   conn.BufferPool // lent to connections that have something to say
	maxIdle   time.Duration
	conns     conns
}

// serve is the goroutine of one connection.
func (s *blocking) serve(c *netconn.Conn) {
	for s.echo(c) == nil {
	}
	c.Close()
	s.conns.remove(c)
}

// echo sends back what one read brings. The buffer is borrowed when bytes are
// there, so a connection that is silent has none. A peer that doesn't read makes
// Write wait, and so isn't read from.
func (s *blocking) echo(c *netconn.Conn) error {
	if s.maxIdle > 0 {
		c.SetDeadline(time.Now().Add(s.maxIdle))
	}
	p, err := c.ReadPooled(&s.buffers)
	if err != nil {
		return err
	}
	_, err = c.Write(p)
	s.buffers.Put(p)
	return err
}

// accept starts the goroutines. The only error there is says that the listener
// was closed: the runtime itself waits out a lack of descriptors.
func (s *blocking) accept(l *netconn.Listener) {
	for {
		c, err := l.AcceptConn()
		if err != nil {
			return
		}
		if s.conns.add(c) {
			go s.serve(c)
		}
	}
}

// serveBlocking starts a runtime and listens on it with the face of package
// net.
func serveBlocking(cfg Config) (face, error) {
	rt, err := conn.Start(cfg.Config)
	if err != nil {
		return nil, err
	}
	listeners, err := open(cfg,
		func(at conn.Addr) (*netconn.Listener, error) { return netconn.Listen(rt, at) },
		func(fd int) (*netconn.Listener, error) { return netconn.ListenConfig{}.Adopt(rt, fd) })
	if err != nil {
		rt.Close()
		return nil, err
	}
	s := &blocking{
		onRuntime: onRuntime{handing(listeners, func(l *netconn.Listener) restart.Listener { return l }), rt, addrOf(listeners[0].Addr())},
		listeners: listeners,
		maxIdle:   cfg.MaxIdle,
	}
	s.buffers.Size = cfg.BufferSize
	for _, l := range listeners {
		go s.accept(l)
	}
	return s, nil
}

func (s *blocking) Shutdown(ctx context.Context) error {
	s.stopListening()
	return errors.Join(s.conns.drain(ctx), s.rt.Close())
}

func (s *blocking) Close() error {
	s.stopListening()
	s.conns.cut()
	return s.rt.Close()
}

func (s *blocking) stopListening() {
	for _, l := range s.listeners {
		l.Close()
	}
}
