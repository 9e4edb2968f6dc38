package idemguard_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/idem/boltstore"
	"github.com/weir-go/weir/idem/idemguard"
	"github.com/weir-go/weir/internal/guardtest"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/sched/schedtest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// patience bounds waits that end soon unless something is broken.
const patience = 30 * time.Second

// TestGuard: the contract, over both stores of this module.
func TestGuard(t *testing.T) {
	for name, open := range map[string]func(*testing.T) idem.Store{
		"memory": func(*testing.T) idem.Store { return &idem.Memory{} },
		"file": func(t *testing.T) idem.Store {
			s, err := boltstore.Open(boltstore.Config{Path: t.TempDir() + "/idem"})
			ok(t, err)
			t.Cleanup(func() { ok(t, s.Close()) })
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			schedtest.TestGuard(t, schedtest.Guards{Free: patience, Open: func(t *testing.T) func() schedtest.Replica {
				shared := open(t)
				return func() schedtest.Replica { return guardtest.Replica(shared) }
			}})
		})
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cutOff is a store that does not hear of the end of things while gone is set.
type cutOff struct {
	idem.Store
	gone atomic.Bool
}

func (c *cutOff) Renew(ctx context.Context, name string, h idem.Hold, n idem.Renewal) (idem.Verdict, error) {
	if c.gone.Load() {
		return 0, idem.ErrRefused
	}
	return c.Store.Renew(ctx, name, h, n)
}

var key = sched.Key{Job: strings.Repeat("a name of any length ", 100), Instant: 1}

// TestLost: a holder who is cut off is told before another has the run, and told
// again when it ends it.
func TestLost(t *testing.T) { synctest.Test(t, lost) }

func lost(t *testing.T) {
	shared := &idem.Memory{}
	cut := &cutOff{Store: shared}
	a := &idemguard.Guard{Client: &idem.Client{Store: cut}, Lease: time.Second}
	b := &idemguard.Guard{Client: &idem.Client{Store: shared}, Lease: time.Minute}
	told := make(chan error, 2)
	h, err := a.Hold(t.Context(), key, func(err error) { told <- err })
	ok(t, err)
	var at *sched.HeldError
	if _, err := b.Hold(t.Context(), key, nil); !errors.As(err, &at) || at.Left <= 0 || at.Left > time.Second || !errors.Is(err, sched.ErrTaken) {
		t.Fatal(err)
	}
	cut.gone.Store(true)
	select {
	case err := <-told:
		if err != sched.ErrLost {
			t.Fatal(err)
		}
	case <-time.After(time.Second):
		t.Fatal("not told before its lease was over")
	}
	var other sched.Held
	for ; other == nil; <-time.After(time.Millisecond) {
		other, err = b.Hold(t.Context(), key, func(error) { t.Error("lost") })
		if err != nil && !errors.Is(err, sched.ErrTaken) {
			t.Fatal(err)
		}
	}
	if other.Fence() <= h.Fence() {
		t.Errorf("fences %d and %d", h.Fence(), other.Fence())
	}
	cut.gone.Store(false)
	if err := h.End(t.Context(), true); !errors.Is(err, sched.ErrLost) {
		t.Errorf("end of a lost hold: %v", err)
	}
	ok(t, other.End(t.Context(), true))
	if len(told) > 0 {
		t.Error("told twice")
	}
}

// TestNoStore: who cannot ask does not run.
func TestNoStore(t *testing.T) {
	g := &idemguard.Guard{Client: &idem.Client{Store: &silent{}, Try: time.Millisecond, Patience: 2 * time.Millisecond}}
	if _, err := g.Hold(t.Context(), key, nil); !errors.Is(err, idem.ErrUnavailable) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	g.Client = &idem.Client{Store: &silent{asked: cancel}}
	if _, err := g.Hold(ctx, key, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type silent struct {
	idem.Store
	asked func()
}

func (s *silent) Begin(ctx context.Context, _ string, _ idem.Claim) (idem.Grant, error) {
	if s.asked != nil {
		s.asked()
	}
	<-ctx.Done()
	return idem.Grant{}, ctx.Err()
}

func (s *silent) Lookup(context.Context, string) (idem.Record, error) {
	return idem.Record{}, idem.ErrRefused
}

// TestReplicas: three programs with the same jobs. Each run is executed by one of
// them, though all of them fire.
func TestReplicas(t *testing.T) {
	store := &idem.Memory{}
	var (
		mu   sync.Mutex
		runs = map[sched.Instant]int{}
		seen = make(chan struct{}, 1000)
	)
	var all []*sched.Scheduler
	for range 3 {
		s, err := sched.New(sched.Config{Guard: &idemguard.Guard{Client: &idem.Client{Store: store}, Space: "test"}})
		ok(t, err)
		all = append(all, s)
		_, err = s.Add(t.Context(), sched.Job{Name: "report", Guarded: true,
			Trigger: sched.Every{Period: 20 * time.Millisecond},
			Do: func(_ context.Context, f sched.Fire) error {
				mu.Lock()
				defer mu.Unlock()
				runs[f.Instant]++
				select {
				case seen <- struct{}{}:
				default:
				}
				return nil
			}})
		ok(t, err)
	}
	for range 10 {
		select {
		case <-seen:
		case <-time.After(patience):
			t.Fatal("nothing runs")
		}
	}
	for _, s := range all {
		ok(t, s.Close(t.Context()))
	}
	for i, n := range runs {
		if n != 1 {
			t.Errorf("%v was executed %d times", i, n)
		}
	}
}

// TestDeadReplicaIsTakenOver: two programs fire, one has the run and is not heard of
// any more. The other, which was told that it is taken, has it then.
func TestDeadReplicaIsTakenOver(t *testing.T) {
	shared, at := &idem.Memory{}, time.Now().Add(100*time.Millisecond)
	fires, died := make(chan sched.Fire, 10), make(chan struct{})
	var first sync.Once
	var all []*sched.Scheduler
	for range 2 {
		cut := &cutOff{Store: shared}
		g := &idemguard.Guard{Client: &idem.Client{Store: cut}, Lease: 500 * time.Millisecond}
		s, err := sched.New(sched.Config{Guard: g})
		ok(t, err)
		all = append(all, s)
		_, err = s.Add(t.Context(), sched.Job{Name: "report", Guarded: true, Trigger: sched.At(at),
			Do: func(_ context.Context, f sched.Fire) error {
				fires <- f
				first.Do(func() {
					cut.gone.Store(true)
					<-died
				})
				return nil
			}})
		ok(t, err)
	}
	var got []sched.Fire
	for range 2 {
		select {
		case f := <-fires:
			got = append(got, f)
		case <-time.After(patience):
			t.Fatal("the run of a replica that died is nobody's")
		}
	}
	close(died)
	if got[0].Key() != got[1].Key() || got[1].Fence <= got[0].Fence || got[1].Try != 1 {
		t.Errorf("%+v, and then %+v", got[0], got[1])
	}
	for _, s := range all {
		ok(t, s.Close(t.Context()))
	}
}
