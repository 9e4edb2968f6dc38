package redis

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

// line is a place for a connection: it has one, is about to, or is idle until
// somebody asks.
type line struct {
	mu   sync.Mutex
	now  *session // nil: none
	dial *dial    // under way; nil: none
}

type dial struct {
	done chan struct{} // closed when s or err is there
	s    *session
	err  error
}

// session returns l's connection, and makes one if there is none.
func (s *shared) session(ctx context.Context, l *line) (*session, error) {
	l.mu.Lock()
	if l.now != nil {
		defer l.mu.Unlock()
		return l.now, nil
	}
	if s.life.Err() != nil {
		l.mu.Unlock()
		return nil, errClosed
	}
	d := l.dial
	if d == nil {
		d = &dial{done: make(chan struct{})}
		l.dial = d
		go s.connect(l, d)
	}
	l.mu.Unlock()
	select {
	case <-d.done:
		return d.s, d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// connect is a goroutine of its own, for whoever waits for l's connection.
func (s *shared) connect(l *line, d *dial) {
	ctx, cancel := context.WithTimeout(s.life, s.cfg.Timeout)
	defer cancel()
	d.s, d.err = s.open(ctx, l)
	l.mu.Lock()
	l.dial = nil
	if d.err == nil && d.s.alive() {
		l.now = d.s
	}
	l.mu.Unlock()
	close(d.done)
}

func (s *session) alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil
}

func (l *line) gone(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now == s {
		l.now = nil
	}
}

// open connects and says hello, in the way of goroutines that wait, and then
// gives the connection to the loop.
func (s *shared) open(ctx context.Context, l *line) (*session, error) {
	addr, network := s.cfg.Addrs[0], "tcp"
	if strings.HasPrefix(addr, "/") || strings.HasPrefix(addr, "@") || !strings.Contains(addr, ":") {
		network = "unix"
	}
	d := &netconn.Dialer{Runtime: s.cfg.Runtime, Options: conn.Options{HighWater: highWater}}
	plain, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := plain.(*netconn.Conn)
	if err := s.greet(ctx, c); err != nil {
		c.Close()
		return nil, err
	}
	at := &session{conn: c.Blocking().Conn(), gone: l.gone, silence: s.silence}
	ready := make(chan struct{})
	if err := errors.Join(c.Callback(at), at.conn.Post(func(*conn.Conn) { close(ready) })); err != nil {
		at.conn.CloseWith(err)
		return nil, err
	}
	select {
	case <-ready:
		return at, nil
	case <-ctx.Done(): // it may have ended before
		at.conn.CloseWith(ctx.Err())
		return nil, ctx.Err()
	}
}

// greet tells the server who is there, and which database is meant.
func (s *shared) greet(ctx context.Context, c net.Conn) error {
	if s.words == 0 {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.Write(s.hello); err != nil {
		return err
	}
	in, b := make([]byte, 0, 512), make([]byte, 512)
	for answered := 0; answered < s.words; {
		var r reply
		n, err := readReply(in, &r)
		switch {
		case err != nil:
			return err
		case r.err != nil:
			return r.err
		case n > 0:
			in = in[n:]
			answered++
			continue
		}
		if n, err = c.Read(b); err != nil {
			return err
		}
		in = append(in, b[:n]...)
	}
	if len(in) > 0 {
		return errUnasked
	}
	return nil
}
