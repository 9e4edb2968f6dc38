package redis_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-go/weir/contrib/redis"
	"github.com/weir-go/weir/idem"
)

// TestReplyLost: the server has done it and its answer is cut; asked again it
// answers the same, and to the caller nothing has happened.
func TestReplyLost(t *testing.T) {
	srv := startServer(t)
	for _, name := range []string{"begin", "finish"} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t, srv.Addr)
			c := client(open(t, p.addr, redis.Config{}))
			warm(t, c)
			cuts, calls := 0, 0
			p.set(func(fromServer bool, b []byte) verdict {
				if !fromServer {
					calls++
					return verdict{pass: len(b)}
				}
				if name == "begin" && calls == 1 || name == "finish" && calls >= 2 && cuts == 0 {
					cuts++
					return verdict{} // executed, and not a byte of the answer
				}
				return verdict{pass: len(b)}
			})
			var runs atomic.Int32
			key := idem.Key{Operation: name, ID: fmt.Sprint(rand.Uint64())}
			r, err := c.Do(bg, key, nil, redo, func(_ context.Context, a *idem.Attempt) ([]byte, error) {
				runs.Add(1)
				check(t, !a.Taken && a.Number == 1, "attempt", a)
				return []byte("once"), nil
			})
			check(t, err == nil && string(r.Result) == "once" && runs.Load() == 1, "reply", err)
			s := c.Stats()
			check(t, cuts == 1 && s.Resent == 1 && s.Suspected() == 0 && s.TakenOver == 0, "stats", s)
		})
	}
}

// warm has the server know the scripts, so that a call is one request.
func warm(t testing.TB, c *idem.Client) {
	t.Helper()
	_, err := c.Do(bg, idem.Key{Operation: "warm", ID: fmt.Sprint(rand.Uint64())}, nil, redo,
		func(ctx context.Context, a *idem.Attempt) ([]byte, error) { return nil, a.Mark(ctx, nil) })
	ok(t, err)
}

// TestLateReply: one that comes after its caller has left reaches nobody else.
func TestLateReply(t *testing.T) {
	t.Run("shared", func(t *testing.T) { lateReply(t, redis.Config{PoolSize: 1}) })
	t.Run("pooled", func(t *testing.T) { lateReply(t, redis.Config{PoolSize: 1, Pooled: true}) })
}

func lateReply(t *testing.T, cfg redis.Config) {
	srv := startServer(t)
	p := startProxy(t, srv.Addr)
	s := open(t, p.addr, cfg)
	c := client(s)
	keys := make([]idem.Key, 20)
	for i := range keys {
		keys[i] = idem.Key{Operation: "late", ID: fmt.Sprint(i)}
		_, err := c.Do(bg, keys[i], nil, redo, result(fmt.Sprint(i)))
		ok(t, err)
	}
	for i, k := range keys {
		let, held := make(chan struct{}), make(chan struct{})
		letGo := sync.OnceFunc(func() { close(let) })
		t.Cleanup(letGo)
		first := true
		p.set(func(fromServer bool, b []byte) verdict {
			if fromServer && first {
				first = false
				close(held)
				return verdict{pass: len(b), after: let}
			}
			return verdict{pass: len(b)}
		})
		until(t, "an answer is held", func() bool { // the time may be over before there is one
			ctx, cancel := context.WithTimeout(bg, 10*time.Millisecond)
			defer cancel()
			name, _ := k.Name()
			_, err := s.Lookup(ctx, name)
			select {
			case <-held: // this answer, or one to an earlier question, on a connection that was given up
				return true
			default:
				check(t, err != nil, "answered though the answer was held", err)
				return false
			}
		})
		letGo()
		next := (i + 1) % len(keys)
		r, err := c.Do(bg, keys[next], nil, redo, never(t))
		check(t, err == nil && string(r.Result) == fmt.Sprint(next), "another's answer", r)
	}
}

// TestServerStops: while the server is frozen nobody begins, and who is at it is
// told to stop before his lease can end.
func TestServerStops(t *testing.T) {
	srv := startServer(t)
	c := &idem.Client{Store: open(t, srv.Addr, redis.Config{}), Try: 200 * time.Millisecond, Patience: patience}
	quick := &idem.Client{Store: open(t, srv.Addr, redis.Config{}), Try: 50 * time.Millisecond, Patience: 100 * time.Millisecond}
	p := redo
	p.Lease = time.Second
	r, err := c.Do(bg, key, nil, p, func(ctx context.Context, _ *idem.Attempt) ([]byte, error) {
		srv.Stop()
		defer srv.Resume()
		other := key
		other.ID = "another"
		_, err := quick.Do(bg, other, nil, p, never(t))
		check(t, errors.Is(err, idem.ErrUnavailable), "begun on a frozen server", err)
		until(t, "a heartbeat is missed", func() bool { return c.Stats().Missed > 0 })
		<-ctx.Done()
		check(t, context.Cause(ctx) == idem.ErrFenced, "cause", context.Cause(ctx))
		return []byte("in spite of it"), nil
	})
	check(t, err == nil && string(r.Result) == "in spite of it", "nobody took over meanwhile", err)
	s := c.Stats()
	check(t, s.Fenced == 1 && s.Suspected() == 0, "stats", s)
}

// TestServerDies: what it has acknowledged is there when it is back, what was
// running too, and an owner who outlived it goes on.
func TestServerDies(t *testing.T) {
	srv := startServer(t)
	c := client(open(t, srv.Addr, redis.Config{}))
	halt := idem.Policy{Unknown: idem.Halt(), Lease: time.Minute}
	for i := range 50 {
		_, err := c.Do(bg, idem.Key{Operation: "done", ID: fmt.Sprint(i)}, nil, halt, result(fmt.Sprint(i)))
		ok(t, err)
	}
	_, err := c.Do(bg, key, nil, halt, func(ctx context.Context, a *idem.Attempt) ([]byte, error) {
		ok(t, a.Mark(ctx, []byte("before")))
		srv.Kill()
		check(t, srv.Restart(t), "it is back", srv.Said())
		ok(t, a.Mark(ctx, []byte("after")))
		_, err := c.Do(bg, key, nil, halt, never(t))
		check(t, errors.Is(err, idem.ErrBusy), "another caller", err)
		return []byte("survived"), nil
	})
	ok(t, err)
	srv.Kill()
	check(t, srv.Restart(t), "it is back", srv.Said())
	for i := range 50 {
		r, err := c.Do(bg, idem.Key{Operation: "done", ID: fmt.Sprint(i)}, nil, halt, never(t))
		check(t, err == nil && string(r.Result) == fmt.Sprint(i), "replay", err)
	}
	r, err := c.Do(bg, key, nil, halt, never(t))
	check(t, err == nil && string(r.Result) == "survived", "replay", err)
	check(t, c.Stats().Suspected() == 0, "stats", c.Stats())
}

// TestRecordsVanish: a server that loses what it has acknowledged is noticed by
// whoever was at it.
func TestRecordsVanish(t *testing.T) {
	srv := startServer(t)
	c := client(open(t, srv.Addr, redis.Config{}))
	_, err := c.Do(bg, key, nil, redo, func(context.Context, *idem.Attempt) ([]byte, error) {
		srv.do(t, "FLUSHALL")
		return []byte("first"), nil
	})
	check(t, err == nil && c.Stats().Healed == 1, "nobody else has it", err)
	other := key
	other.ID = "another"
	_, err = c.Do(bg, other, nil, redo, func(context.Context, *idem.Attempt) ([]byte, error) {
		srv.do(t, "FLUSHALL")
		_, err := c.Do(bg, other, nil, redo, result("second"))
		ok(t, err)
		return []byte("first"), nil
	})
	check(t, errors.Is(err, idem.ErrLost) && c.Stats().Suspected() == 2, "somebody else has it", err)
}
