package redis_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-go/weir/contrib/redis"
	"github.com/weir-go/weir/idem"
)

// TestStorm: many callers of the same keys, while connections are cut before
// and after the server has done it, answers come a byte at a time, and the
// server forgets its scripts. Everything happens once, and everybody gets the
// same. One client's calls share a connection, the other's have one each.
func TestStorm(t *testing.T) {
	srv := startServer(t)
	p := startProxy(t, srv.Addr)
	s := &storm{effects: make([]atomic.Int32, 150), results: make([][]byte, 150)}
	for i := range s.clients {
		s.clients[i] = &idem.Client{Store: open(t, p.addr, redis.Config{Pooled: i == 1}), Patience: patience}
	}
	p.set(weather)
	stop := flushScripts(t, srv)
	var wg sync.WaitGroup
	for caller := range 8 {
		wg.Go(func() {
			for _, i := range rand.Perm(len(s.effects)) {
				s.call(t, s.clients[caller%len(s.clients)], i)
			}
		})
	}
	wg.Wait()
	stop()
	for i := range s.effects {
		if n := s.effects[i].Load(); n != 1 {
			t.Errorf("key %d: %d effects", i, n)
		}
	}
	one, two := s.clients[0].Stats(), s.clients[1].Stats()
	t.Logf("%+v\n%+v", one, two)
	check(t, one.Suspected()+two.Suspected() == 0, "suspected", one)
	check(t, one.Ran+two.Ran == uint64(len(s.effects)) && one.Resent > 0, "stats", one)
}

// weather is bad.
func weather(_ bool, b []byte) verdict {
	switch n := rand.IntN(100); {
	case n < 5:
		return verdict{} // a request that did not arrive, or an answer
	case n < 8:
		return verdict{pass: rand.IntN(len(b))}
	case n < 15:
		return verdict{pass: len(b), sliced: true}
	}
	return verdict{pass: len(b)}
}

// flushScripts has the server forget them again and again until stop is called.
func flushScripts(t *testing.T, srv *server) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				srv.do(t, "SCRIPT", "FLUSH")
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-ended }
}

type storm struct {
	clients [2]*idem.Client
	effects []atomic.Int32

	mu      sync.Mutex
	results [][]byte
}

// call asks for one key and compares what it gets with what others got.
func (s *storm) call(t *testing.T, c *idem.Client, i int) {
	p := idem.Policy{Unknown: idem.Halt(), Wait: true, Lease: time.Minute}
	ctx, cancel := context.WithTimeout(bg, patience)
	defer cancel()
	key := idem.Key{Operation: "storm", ID: fmt.Sprint(i)}
	r, err := c.Do(ctx, key, []byte(key.ID), p, func(ctx context.Context, a *idem.Attempt) ([]byte, error) {
		if err := a.Mark(ctx, []byte("step")); err != nil {
			return nil, err
		}
		s.effects[i].Add(1)
		return fmt.Appendf(nil, "result of %d by fence %d", i, a.Fence), nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		t.Errorf("key %d: %v", i, err)
	} else if s.results[i] != nil && !bytes.Equal(s.results[i], r.Result) {
		t.Errorf("key %d: %q and %q", i, s.results[i], r.Result)
	}
	s.results[i] = r.Result
}
