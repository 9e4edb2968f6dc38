package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/netconn"
)

var errClosed = fmt.Errorf("%w: redis: the store is closed", idem.ErrRefused)

// shared asks one server over a few connections, on each of which any number of
// calls are under way at once.
type shared struct {
	cfg   Config
	hello []byte // AUTH and SELECT
	words int    // of them, how many are answered
	lines []*line
	next  atomic.Uint32

	life context.Context // ended by close
	end  context.CancelFunc
	busy sync.WaitGroup // dials
}

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

func newShared(cfg Config) *shared {
	s := &shared{cfg: cfg, lines: make([]*line, or(cfg.PoolSize, 1))}
	for i := range s.lines {
		s.lines[i] = &line{}
	}
	word := func(words ...string) {
		s.hello = appendHead(s.hello, len(words))
		for _, w := range words {
			s.hello = appendWord(s.hello, w)
		}
		s.words++
	}
	switch {
	case cfg.Username != "":
		word("AUTH", cfg.Username, cfg.Password)
	case cfg.Password != "":
		word("AUTH", cfg.Password)
	}
	if cfg.DB != 0 {
		word("SELECT", strconv.Itoa(cfg.DB))
	}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

func or(n, unset int) int {
	if n > 0 {
		return n
	}
	return unset
}

// close ends the connections, and waits until none is being made.
func (s *shared) close() error {
	s.end()
	s.busy.Wait()
	for _, l := range s.lines {
		l.mu.Lock()
		now := l.now
		l.mu.Unlock()
		if now != nil {
			now.end(errClosed)
		}
	}
	return nil
}

// eval has the server run a script.
func (s *shared) eval(ctx context.Context, sc *script, name string, args []arg) (*reply, error) {
	k := newCall()
	k.out = sc.appendByName(k.out, name, args)
	r, err := s.ask(ctx, k)
	if says(err, "NOSCRIPT") {
		k = newCall()
		k.out = sc.appendByText(k.out, name, args)
		r, err = s.ask(ctx, k)
	}
	return r, err
}

// ask sends k, which is not its caller's any more, and waits for the reply, which
// the caller releases.
func (s *shared) ask(ctx context.Context, k *call) (*reply, error) {
	if d, has := ctx.Deadline(); !has || time.Until(d) > s.cfg.Timeout {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.cfg.Timeout)
		defer cancel()
	}
	if n := len(k.out); n > highWater {
		k.free()
		return nil, fmt.Errorf("%w: %w: %d bytes", idem.ErrRefused, idem.ErrTooLarge, n)
	}
	at, err := s.sent(ctx, k)
	if err != nil {
		k.free()
		return nil, err
	}
	if err := at.wait(ctx, k); err != nil {
		return nil, err
	}
	r := &k.reply
	r.call = k
	if n, err := readReply(k.in, r); err != nil || n == 0 {
		r.release()
		return nil, errors.Join(err, errReply)
	}
	if err := r.err; err != nil {
		if says(err, "READONLY") { // behind this address may soon be another server
			at.end(err)
		}
		r.release()
		return nil, err
	}
	return r, nil
}

// sent sends k over one of the lines. One that has just ended is tried anew: it
// has not taken k.
func (s *shared) sent(ctx context.Context, k *call) (*session, error) {
	l := s.lines[int(s.next.Add(1))%len(s.lines)]
	for try := 0; ; try++ {
		at, err := s.session(ctx, l)
		if err != nil {
			return nil, err
		}
		if err = at.send(k); err == nil {
			return at, nil
		}
		if err == errCrowded || try > 0 {
			return nil, err
		}
	}
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
		s.busy.Add(1)
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
	defer s.busy.Done()
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
	at := &session{conn: c.Blocking().Conn(), gone: l.gone}
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

// examine looks whether the server can be relied upon.
func (s *shared) examine(ctx context.Context) error {
	k := newCall()
	k.out = appendWord(appendHead(k.out, 1), "INFO")
	r, err := s.ask(ctx, k)
	if err != nil {
		return err
	}
	defer r.release()
	return reliable(r.text(0))
}
