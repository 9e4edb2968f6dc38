package echo

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/restart"
)

// std is the server that everybody writes with package net: a goroutine and a
// buffer for each connection.
type std struct {
	sockets
	listeners []net.Listener
	size      int
	maxIdle   time.Duration
	conns     conns
	bytes     traffic
	closed    chan struct{} // when no more connections are accepted
	closing   sync.Once
}

// serve is the goroutine of one connection.
func (s *std) serve(c stream) {
	var in, out int
	buffer := make([]byte, s.size)
	for {
		if s.maxIdle > 0 {
			c.SetDeadline(time.Now().Add(s.maxIdle))
		}
		n, err := c.Read(buffer)
		in += n
		if err != nil {
			break
		}
		n, err = c.Write(buffer[:n])
		out += n
		if err != nil {
			break
		}
	}
	c.Close()
	s.bytes.add(in, out)
	s.conns.remove(c)
}

// accept starts the goroutines. When descriptors run out it tries again after
// a while, as net/http does.
func (s *std) accept(l net.Listener) {
	const least, most = 5 * time.Millisecond, time.Second
	pause := least
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select {
			case <-time.After(pause):
			case <-s.closed:
				return
			}
			pause = min(2*pause, most)
			continue
		}
		pause = least
		if c := c.(stream); s.conns.add(c) {
			go s.serve(c)
		}
	}
}

// serveStd listens with package net.
func serveStd(cfg Config) (face, error) {
	listeners, err := open(cfg,
		func(at conn.Addr) (net.Listener, error) { return net.Listen(at.Network(), at.String()) },
		func(fd int) (net.Listener, error) {
			f := os.NewFile(uintptr(fd), "listener")
			defer f.Close() // FileListener works on a duplicate
			return net.FileListener(f)
		})
	if err != nil {
		return nil, err
	}
	hand := handing(listeners, func(l net.Listener) restart.Listener { return restart.Net(l.(restart.SyscallConner)) })
	s := &std{sockets: hand, closed: make(chan struct{}), listeners: listeners, size: cfg.BufferSize, maxIdle: cfg.MaxIdle}
	for _, l := range listeners {
		go s.accept(l)
	}
	return s, nil
}

func (s *std) Addr() conn.Addr        { return addrOf(s.listeners[0].Addr()) }
func (s *std) Runtime() *conn.Runtime { return nil }
func (s *std) Open() int              { return s.conns.len() }

func (s *std) Totals() Totals { return s.bytes.totals(s.conns.total()) }

func (s *std) Shutdown(ctx context.Context) error {
	s.stopListening()
	return s.conns.drain(ctx)
}

func (s *std) Close() error {
	s.stopListening()
	s.conns.cut()
	return nil
}

func (s *std) stopListening() {
	s.closing.Do(func() { close(s.closed) })
	for _, l := range s.listeners {
		l.Close()
	}
}

// addrOf translates an address of package net.
func addrOf(a net.Addr) conn.Addr {
	if a, ok := a.(*net.TCPAddr); ok {
		return conn.TCP(a.AddrPort())
	}
	return conn.Unix(a.String())
}
