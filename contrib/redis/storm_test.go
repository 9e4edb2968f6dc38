package redis_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/weir-go/weir/contrib/redis"
	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/internal/await"
)

// storm is many callers of the same keys while something goes wrong, and what is
// known of it outside of Redis: a ledger on the disk, which each effect writes
// itself.
//
//	32 callers ─► 4 clients ─► proxy ─► redis-server
//	     │            └ effect ─► ledger: key, fence, owner, attempt
//	     └ what each of them got ─► compared
type storm struct {
	keys    int
	clients [4]*idem.Client
	ledger  *os.File

	mu      sync.Mutex
	results [][]byte
	history []porcupine.Operation
	begun   time.Time
}

// model is what a key is to its callers (I7): somebody's result, which everybody
// else gets from then on.
var model = porcupine.Model{
	Partition: func(all []porcupine.Operation) (parts [][]porcupine.Operation) {
		of := map[int][]porcupine.Operation{}
		for _, o := range all {
			of[o.Input.(int)] = append(of[o.Input.(int)], o)
		}
		for _, part := range of {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, _, output any) (bool, any) {
		r := output.(idem.Reply)
		if r.Replayed {
			return state == string(r.Result), state
		}
		return state == "", string(r.Result)
	},
}

// stormKeys is how many: REDIS_STORM=10000 for the long run.
func stormKeys(t *testing.T, unless int) int {
	n, err := strconv.Atoi(os.Getenv("REDIS_STORM"))
	if err != nil {
		return unless
	}
	t.Logf("%d keys", n)
	return n
}

// TestStorm: everything happens once, and everybody gets the same.
func TestStorm(t *testing.T) {
	for name, fault := range map[string]func(t *testing.T, srv *server, p *proxy) (over func()){
		"weather": func(t *testing.T, srv *server, p *proxy) func() {
			p.set(weather)
			return flushScripts(t, srv)
		},
		"server is killed": func(t *testing.T, srv *server, _ *proxy) func() {
			return again(30*time.Millisecond, func() {
				srv.Kill()
				check(t, srv.Restart(t), "it is back", srv.Said())
			})
		},
		"server stands still": func(t *testing.T, srv *server, _ *proxy) func() {
			return again(50*time.Millisecond, func() {
				srv.Stop()
				defer srv.Resume()
				<-time.After(250 * time.Millisecond) // longer than a try
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := startServer(t)
			p := startProxy(t, srv.Addr)
			s := newStorm(t, stormKeys(t, 60), func(i int) idem.Store {
				if os.Getenv("REDIS_MUTATION") == "article" {
					return openArticle(t, p.addr)
				}
				return open(t, p.addr, redis.Config{Pooled: i%2 == 1})
			})
			over := fault(t, srv, p)
			s.blow(t)
			over()
			p.set(nil)
			s.judge(t)
		})
	}
}

// again has something happen, that long after the last time, until the function it
// returns is called.
func again(pause time.Duration, happen func()) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-time.After(pause):
				happen()
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// flushScripts has the server forget them.
func flushScripts(t *testing.T, srv *server) (stop func()) {
	return again(20*time.Millisecond, func() { srv.do(t, "SCRIPT", "FLUSH") })
}

// weather is bad.
func weather(_ bool, b []byte) verdict {
	switch n := rand.IntN(1000); {
	case n < 40:
		return verdict{} // a request that did not arrive, or an answer
	case n < 60:
		return verdict{pass: rand.IntN(len(b))}
	case n < 80:
		return verdict{pass: rand.IntN(len(b)), reset: true}
	case n < 84:
		return verdict{pass: rand.IntN(len(b)), silent: true} // one direction; the other goes on
	case n < 150:
		return verdict{pass: len(b), sliced: true}
	case n < 200:
		return verdict{pass: len(b), late: rand.N(10 * time.Millisecond)}
	}
	return verdict{pass: len(b)}
}

func newStorm(t *testing.T, keys int, store func(i int) idem.Store) *storm {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "ledger"))
	ok(t, err)
	t.Cleanup(func() { f.Close() })
	s := &storm{keys: keys, results: make([][]byte, keys), ledger: f, begun: time.Now()}
	for i := range s.clients {
		s.clients[i] = &idem.Client{Store: store(i), Try: 150 * time.Millisecond, Patience: 2 * await.Patience}
	}
	return s
}

// blow has all callers ask for all keys, each in an order of its own.
func (s *storm) blow(t *testing.T) {
	var wg sync.WaitGroup
	for caller := range 32 {
		wg.Go(func() {
			for _, i := range rand.Perm(s.keys) {
				s.call(t, s.clients[caller%len(s.clients)], i)
			}
		})
	}
	wg.Wait()
}

func stormKey(i int) idem.Key { return idem.Key{Operation: "storm", ID: fmt.Sprint(i)} }

// call asks for one key and compares what it gets with what others got (I3).
func (s *storm) call(t *testing.T, c *idem.Client, i int) {
	p := idem.Policy{Unknown: idem.Redo(), Wait: true, Lease: time.Minute}
	ctx, cancel := context.WithTimeout(bg, 2*await.Patience)
	defer cancel()
	key := stormKey(i)
	asked := time.Since(s.begun)
	r, err := c.Do(ctx, key, []byte(key.ID), p, func(ctx context.Context, a *idem.Attempt) ([]byte, error) {
		if err := a.Mark(ctx, []byte("step")); err != nil {
			return nil, err
		}
		return s.effect(i, a)
	})
	got := time.Since(s.begun)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = append(s.history, porcupine.Operation{Input: i, Output: r, Call: int64(asked), Return: int64(got)})
	if err != nil {
		t.Errorf("key %d: %v", i, err)
	} else if s.results[i] != nil && !bytes.Equal(s.results[i], r.Result) {
		t.Errorf("key %d: %q and %q", i, s.results[i], r.Result)
	}
	s.results[i] = r.Result
}

// effect is a line of the ledger, on the disk when it returns.
func (s *storm) effect(i int, a *idem.Attempt) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.ledger, i, a.Fence, a.Number)
	return fmt.Appendf(nil, "result of %d by fence %d", i, a.Fence), s.ledger.Sync()
}

// line is one of the ledger.
type line struct {
	key    int
	fence  uint64
	number int
}

func (s *storm) lines(t *testing.T) (all []line) {
	t.Helper()
	b, err := os.ReadFile(s.ledger.Name())
	ok(t, err)
	for text := range strings.Lines(string(b)) {
		var l line
		if _, err := fmt.Sscan(text, &l.key, &l.fence, &l.number); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		all = append(all, l)
	}
	return all
}

// judge reads the ledger: one effect of each key (I1), fences that rise (I4), and
// no more attempts than the counters admit to (I5, I6); and each key's record is
// terminal (I2).
func (s *storm) judge(t *testing.T) {
	t.Helper()
	var sum idem.Stats
	for _, c := range s.clients {
		st := c.Stats()
		sum.Ran, sum.Resent, sum.TakenOver, sum.Lost, sum.Healed = sum.Ran+st.Ran, sum.Resent+st.Resent, sum.TakenOver+st.TakenOver,
			sum.Lost+st.Lost, sum.Healed+st.Healed
	}
	effects, fences := make([]int, s.keys), make([]uint64, s.keys)
	lines := s.lines(t)
	for _, l := range lines {
		effects[l.key]++
		if l.fence <= fences[l.key] {
			t.Errorf("key %d: fence %d after %d", l.key, l.fence, fences[l.key])
		}
		fences[l.key] = l.fence
	}
	for i, n := range effects {
		if n != 1 {
			t.Errorf("key %d: %d effects", i, n)
		}
		r, err := s.clients[0].Lookup(bg, stormKey(i))
		if err != nil || r.State != idem.Done || !bytes.Equal(r.Result, s.results[i]) {
			t.Errorf("key %d: its record is %v, %v", i, r.State, err)
		}
	}
	t.Logf("%d attempts for %d keys; %d questions were asked again, %d records taken over, %d suspected",
		len(lines), s.keys, sum.Resent, sum.TakenOver, sum.Suspected())
	if extra := len(lines) - s.keys; uint64(max(extra, 0)) > sum.Suspected()+sum.TakenOver {
		t.Errorf("%d attempts too many, and the counters know of %d", extra, sum.Suspected())
	}
	check(t, sum.Resent > 0, "nothing went wrong", sum)
	check(t, porcupine.CheckOperations(model, s.history), "no order of the calls explains what they got", len(s.history))
}
