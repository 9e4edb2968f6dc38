package boltlog_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/idem/boltstore"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/saga"
	"github.com/weir-go/weir/saga/boltlog"
)

// The tests of this file kill processes: this test program, started again.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BOLTLOG_DIR"); dir != "" {
		var k int64
		fmt.Sscan(os.Getenv("BOLTLOG_DIE"), &k)
		work(dir, os.Getenv("BOLTLOG_ID"), k)
		return
	}
	leak.Main(m)
}

// patience is with a slow disk: no write and no call is given up.
const patience = time.Minute

// shop is where orders are sagas. Its effects are lines of a file.
type shop struct {
	dir   string
	point func() // called at each place where the process may die
	log   *boltlog.Log
	store *boltstore.Store
	*saga.Runner
}

func newShop(dir string, point func()) (s *shop, err error) {
	s = &shop{dir: dir, point: point}
	if s.log, err = boltlog.Open(boltlog.Config{Path: filepath.Join(dir, "sagas")}); err != nil {
		return nil, err
	}
	if s.store, err = boltstore.Open(boltstore.Config{Path: filepath.Join(dir, "idem")}); err != nil {
		return nil, errors.Join(err, s.log.Close())
	}
	d := &saga.Definition{Name: "order"}
	for _, name := range []string{"stock", "coupon", "logistics"} {
		call := saga.Call{Run: s.effect, Unknown: saga.Reconcile(s.look), Retry: saga.Retry{First: 1, Most: 1}, Timeout: patience}
		d.Steps = append(d.Steps, saga.Step{Name: name, Do: call, Undo: call})
	}
	var log saga.Log = s.log
	if os.Getenv("BOLTLOG_EARLY") != "" {
		log = early{s.log}
	}
	s.Runner, err = saga.NewRunner(saga.Config{Log: points{log, point}, Write: patience,
		Idem:        &idem.Client{Store: s.store, Try: patience, Patience: patience},
		Definitions: []*saga.Definition{d}})
	return s, err
}

func (s *shop) close(ctx context.Context) error {
	return errors.Join(s.Runner.Close(ctx), s.log.Close(), s.store.Close())
}

// effect is outside of all stores: a line, on the disk when it returns.
func (s *shop) effect(_ context.Context, a *saga.Attempt) ([]byte, error) {
	if a.Idem.Key.Operation == "logistics.do" && strings.HasPrefix(a.ID, "far") {
		return nil, &idem.Failure{Reason: "too far"}
	}
	s.point()
	f, err := os.OpenFile(filepath.Join(s.dir, "ledger"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fmt.Fprintln(f, a.Idem.Key.Operation, a.ID)
	err = f.Sync()
	s.point()
	return nil, err
}

func (s *shop) look(_ context.Context, a *idem.Attempt) (idem.Finding, error) {
	n, err := s.count(a.Key.Operation, a.Key.ID)
	switch {
	case err != nil:
		return idem.Finding{}, err
	case n > 0:
		return idem.Applied(nil), nil
	}
	return idem.NotApplied(), nil
}

func (s *shop) count(operation, id string) (int, error) {
	b, err := os.ReadFile(filepath.Join(s.dir, "ledger"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	return bytes.Count(b, fmt.Appendln(nil, operation, id)), nil
}

// points are in front of and behind each write.
type points struct {
	saga.Log
	point func()
}

func (p points) Create(ctx context.Context, r *saga.Record) error {
	p.point()
	defer p.point()
	return p.Log.Create(ctx, r)
}

func (p points) Write(ctx context.Context, r *saga.Record, version, fence uint64) error {
	p.point()
	defer p.point()
	return p.Log.Write(ctx, r, version, fence)
}

// work is a process: it goes on with what is there, runs the saga of that ID,
// and dies at the k-th point; with k 0 it runs one after the other for ever.
func work(dir, id string, k int64) {
	var n atomic.Int64
	s, err := newShop(dir, func() {
		if k == 0 {
			fmt.Println("point")
		} else if n.Add(1) == k {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	must(err)
	_, err = s.Recover(context.Background())
	must(err)
	for i := 0; k == 0 || i == 0; i++ {
		name := id
		if k == 0 {
			name = fmt.Sprint(id, "-", i)
		}
		if _, err := s.Run(context.Background(), "order", name, nil); err != nil && !errors.Is(err, saga.ErrOpen) {
			panic(err)
		}
	}
	must(s.close(context.Background()))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func child(t *testing.T, dir, id string, die int) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	ok(t, err)
	c := exec.Command(self)
	c.Env = append(os.Environ(), "BOLTLOG_DIR="+dir, "BOLTLOG_ID="+id, fmt.Sprint("BOLTLOG_DIE=", die))
	c.Stderr = os.Stderr
	return c
}

// recovered opens what a dead process has left, goes on with it, and says what
// became of the IDs; of those that were never begun nothing.
func recovered(t *testing.T, dir string, ids ...string) map[string]saga.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := newShop(dir, func() {})
	ok(t, err)
	defer func() { ok(t, s.close(ctx)) }()
	found, err := s.Recover(ctx)
	ok(t, err)
	if found.Stuck+found.Failed+found.Elsewhere > 0 {
		t.Fatalf("%+v", found)
	}
	states := map[string]saga.State{}
	for _, id := range ids {
		rec, err := s.Lookup(ctx, id)
		if errors.Is(err, saga.ErrNotFound) {
			continue
		}
		ok(t, err)
		states[id] = rec.State
		want := saga.Succeeded
		if strings.HasPrefix(id, "far") {
			want = saga.Compensated
		}
		if rec.State != want {
			t.Fatalf("%s is %s", id, rec.State)
		}
		for _, step := range []string{"stock", "coupon", "logistics"} {
			did, err := s.count(step+".do", id)
			ok(t, err)
			undid, err := s.count(step+".undo", id)
			ok(t, err)
			if want == saga.Succeeded && (did != 1 || undid != 0) || want != saga.Succeeded && (did != undid || did > 1) {
				t.Fatalf("%s, %s: done %d times, undone %d times", id, step, did, undid)
			}
		}
	}
	return states
}

// TestKilledAtEachPoint: in front of and behind each write and each effect, in
// turn.
func TestKilledAtEachPoint(t *testing.T) {
	for _, id := range []string{"near", "far"} {
		k := 1
		for ; ; k++ {
			dir := t.TempDir()
			err := child(t, dir, id, k).Run()
			states := recovered(t, dir, id)
			if k > 2 && states[id] == "" {
				t.Fatalf("killed at point %d: the saga is gone", k)
			}
			if err == nil {
				break // there are no more points
			}
			if !strings.Contains(err.Error(), "killed") {
				t.Fatal(err)
			}
		}
		t.Logf("%s: %d points", id, k-1)
		if k < 12 {
			t.Errorf("%s: only %d points", id, k-1)
		}
	}
}

// TestKilledAtRandom: one process after the other is killed, each goes on with
// what the last one has left.
func TestKilledAtRandom(t *testing.T) {
	dir := t.TempDir()
	var ids []string
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for round := range 6 {
		id := fmt.Sprint([]string{"near", "far"}[round%2], round)
		c := child(t, dir, id, 0)
		out, err := c.StdoutPipe()
		ok(t, err)
		ok(t, c.Start())
		lines := rng.IntN(120)
		in := bufio.NewScanner(out)
		for n := 0; in.Scan(); n++ {
			if n == lines {
				c.Process.Kill()
			}
		}
		c.Wait()
		for i := range 40 {
			ids = append(ids, fmt.Sprint(id, "-", i))
		}
		if round%2 == 1 { // the other times it is the next child that goes on
			recovered(t, dir, ids...)
		}
	}
	n := len(recovered(t, dir, ids...))
	t.Logf("%d sagas", n)
	if n == 0 {
		t.Error("none has begun")
	}
}
