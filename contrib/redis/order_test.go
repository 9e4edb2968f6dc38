package redis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/redis"
	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/saga"
	"github.com/weir-go/weir/saga/boltlog"
)

// shop takes orders: stock, then a coupon, then logistics. The log of its sagas
// is a file, what was done is known by Redis, and the effects are outside of
// both: lines of a ledger, on the disk when a call returns.
//
//	Run ─► saga ─► boltlog (file)
//	         └──► idem ─► Redis
//	                └───► effect ─► ledger (another file)
type shop struct {
	*saga.Runner
	log    *boltlog.Log
	ledger string
	point  func() // called at each place where the process may die

	mu sync.Mutex // of the ledger
}

func openShop(dir string, store idem.Store, point func()) (*shop, error) {
	s := &shop{ledger: filepath.Join(dir, "ledger"), point: point}
	var err error
	if s.log, err = boltlog.Open(boltlog.Config{Path: filepath.Join(dir, "sagas")}); err != nil {
		return nil, err
	}
	order := &saga.Definition{Name: "order"}
	for _, name := range []string{"stock", "coupon", "logistics"} {
		call := saga.Call{Run: s.effect, Unknown: saga.Reconcile(s.look), Timeout: patience,
			Retry: saga.Retry{Tries: 50, First: time.Millisecond, Most: 50 * time.Millisecond}}
		order.Steps = append(order.Steps, saga.Step{Name: name, Do: call, Undo: call})
	}
	s.Runner, err = saga.NewRunner(saga.Config{Log: s.log, Lease: 100 * time.Millisecond, Write: patience, Definitions: []*saga.Definition{order},
		Idem: &idem.Client{Store: &pointed{store, point}, Patience: patience}})
	return s, err
}

func (s *shop) close() error { return errors.Join(s.Close(bg), s.log.Close()) }

func (s *shop) effect(_ context.Context, a *saga.Attempt) ([]byte, error) {
	if a.Idem.Key.Operation == "logistics.do" && strings.HasPrefix(a.ID, "far") {
		return nil, &idem.Failure{Reason: "nobody goes there"}
	}
	s.point()
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := os.OpenFile(s.ledger, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fmt.Fprintln(f, a.Idem.Key.Operation, a.ID)
	err = f.Sync()
	s.point()
	return []byte("done"), err
}

// look is how an effect is found that a dead owner may have had.
func (s *shop) look(_ context.Context, a *idem.Attempt) (idem.Finding, error) {
	n, err := s.count(a.Key.Operation, a.Key.ID)
	switch {
	case err != nil:
		return idem.Finding{}, err
	case n > 0:
		return idem.Applied([]byte("done")), nil
	}
	return idem.NotApplied(), nil
}

func (s *shop) count(operation, id string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := os.ReadFile(s.ledger)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return bytes.Count(b, fmt.Appendln(nil, operation, id)), err
}

// settled checks that an order was carried out, or that nothing is left of it.
func (s *shop) settled(t *testing.T, id string, state saga.State) {
	t.Helper()
	want, undone := saga.Succeeded, 0
	if strings.HasPrefix(id, "far") {
		want, undone = saga.Compensated, 1
	}
	check(t, state == want, id, state)
	for _, step := range []string{"stock", "coupon", "logistics"} {
		did, err := s.count(step+".do", id)
		ok(t, err)
		undid, err := s.count(step+".undo", id)
		ok(t, err)
		if step == "logistics" && undone == 1 {
			check(t, did == 0 && undid == 0, id+" "+step, []int{did, undid})
			continue
		}
		check(t, did == 1 && undid == undone, id+" "+step, []int{did, undid})
	}
}

// pointed has a point in front of and behind each change.
type pointed struct {
	idem.Store
	point func()
}

func (p *pointed) Begin(ctx context.Context, name string, c idem.Claim) (idem.Grant, error) {
	p.point()
	defer p.point()
	return p.Store.Begin(ctx, name, c)
}

func (p *pointed) Finish(ctx context.Context, name string, h idem.Hold, f idem.Final) (idem.Verdict, error) {
	p.point()
	defer p.point()
	return p.Store.Finish(ctx, name, h, f)
}

// TestOrders: many at once, near ones and some that have to be taken back, while
// answers of Redis are lost and it forgets its scripts, and then dies and comes
// back.
func TestOrders(t *testing.T) {
	srv := startServer(t)
	p := startProxy(t, srv.Addr)
	s, err := openShop(t.TempDir(), open(t, p.addr, redis.Config{}), func() {})
	ok(t, err)
	p.set(weather)
	stop := flushScripts(t, srv)
	states := make([]saga.State, 30)
	id := func(i int) string { return fmt.Sprint([]string{"near", "near", "far"}[i%3], i) }
	orders := func(from, to int) {
		var wg sync.WaitGroup
		for caller := range 6 {
			wg.Go(func() {
				for i := from + caller; i < to; i += 6 {
					o, err := s.Run(bg, "order", id(i), []byte("2 books"))
					if err != nil {
						t.Errorf("%s: %v", id(i), err)
					}
					states[i] = o.State
				}
			})
		}
		wg.Wait()
	}
	orders(0, 18)
	stop()
	srv.Kill()
	back := make(chan bool)
	go func() { back <- srv.Restart(t) }()
	orders(18, len(states))
	check(t, <-back, "the server is back", srv.Said())
	for i, state := range states {
		s.settled(t, id(i), state)
	}
	st := s.Stats()
	check(t, st.Succeeded == 20 && st.Compensated == 10 && st.Stuck == 0, "stats", st)
	ok(t, s.close())
}

// takeOrders is a process of its own, which dies at the k-th point.
func takeOrders(dir, addr, id string, k int64) {
	rt, err := conn.Start(conn.Config{})
	must(err)
	store, err := redis.Open(bg, redis.Config{Runtime: rt, Addrs: []string{addr}})
	must(err)
	var n atomic.Int64
	s, err := openShop(dir, store, func() {
		if n.Add(1) == k {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	must(err)
	_, err = s.Run(bg, "order", id, []byte("2 books"))
	must(err)
	fmt.Println("points", n.Load())
}

// TestOrderKilled in front of and behind each effect and each change in Redis, in
// turn. The next process ends what it left.
func TestOrderKilled(t *testing.T) {
	srv := startServer(t)
	store := open(t, srv.Addr, redis.Config{})
	for _, kind := range []string{"near", "far"} {
		for k := 1; ; k++ {
			dir, id := t.TempDir(), fmt.Sprint(kind, k)
			w := worker(t, "order", srv, sink(dir))
			w.Env = append(w.Env, "REDIS_ORDER="+id, fmt.Sprint("REDIS_DIE=", k))
			out, err := w.Output()
			if err != nil && !strings.Contains(err.Error(), "killed") {
				t.Fatal(err)
			}
			s, e := openShop(dir, store, func() {})
			ok(t, e)
			found, e := s.Recover(bg)
			ok(t, e)
			check(t, found.Failed+found.Stuck+found.Elsewhere == 0 && found.Open <= 1, "recovered", found)
			rec, e := s.Lookup(bg, id)
			ok(t, e)
			s.settled(t, id, rec.State)
			ok(t, s.close())
			if err == nil {
				t.Logf("%s: %s", kind, out)
				check(t, k > 10, "points", k)
				break
			}
		}
	}
}
