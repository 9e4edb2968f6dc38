package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/idem"
)

var errClosed = fmt.Errorf("%w: redis: the store is closed", idem.ErrRefused)

// shared asks one server over a few connections, on each of which any number of
// calls are under way at once.
type shared struct {
	cfg   Config
	hello []byte // AUTH and SELECT
	words int    // of them, how many are answered
	lines []*line

	silence time.Duration
	next    atomic.Uint32

	life context.Context // ended by close
	end  context.CancelFunc
}

func newShared(cfg Config) *shared {
	s := &shared{cfg: cfg, lines: make([]*line, or(cfg.PoolSize, 1)), silence: silence}
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
	s.end() // a line that is not connecting by now does not begin to
	for _, l := range s.lines {
		l.mu.Lock()
		d := l.dial
		l.mu.Unlock()
		if d != nil {
			<-d.done
		}
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
