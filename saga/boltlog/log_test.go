package boltlog_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/saga"
	"github.com/weir-go/weir/saga/boltlog"
	"github.com/weir-go/weir/saga/sagatest"
)

func open(t testing.TB, cfg boltlog.Config) *boltlog.Log {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "sagas")
	}
	l, err := boltlog.Open(cfg)
	ok(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLog(t *testing.T) {
	sagatest.TestLog(t, func(t *testing.T) saga.Log { return open(t, boltlog.Config{}) })
}

// TestReopen: what was acknowledged outlives the Log.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sagas")
	l := open(t, boltlog.Config{Path: path, Limit: 1})
	if _, err := boltlog.Open(boltlog.Config{Path: path, Lock: 10 * time.Millisecond}); err == nil {
		t.Fatal("opened twice")
	}
	r := sagatest.Record("a")
	ok(t, l.Create(t.Context(), &r))
	ok(t, l.Close())
	ok(t, l.Close())
	if err := l.Write(t.Context(), &r, 1, 1); !errors.Is(err, boltlog.ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
	if _, err := l.Load(t.Context(), "a"); !errors.Is(err, boltlog.ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
	l = open(t, boltlog.Config{Path: path, Limit: 1})
	got, err := l.Load(t.Context(), "a")
	ok(t, err)
	if !reflect.DeepEqual(got, r) {
		t.Fatalf("%+v, want %+v", got, r)
	}
	b := sagatest.Record("b")
	if err := l.Create(t.Context(), &b); !errors.Is(err, saga.ErrFull) {
		t.Fatalf("no room: %v", err)
	}
	if s := l.Stats(); s.Records != 1 || s.Refused != 1 || s.Broken {
		t.Fatalf("%+v", s)
	}
}

// TestBrokenDisk: after a commit that failed nothing is acknowledged.
func TestBrokenDisk(t *testing.T) {
	l := open(t, boltlog.Config{})
	failure := errors.New("no disk")
	boltlog.FailDisk(l, failure)
	r := sagatest.Record("a")
	if err := l.Create(t.Context(), &r); !errors.Is(err, failure) {
		t.Fatal(err)
	}
	if err := l.Create(t.Context(), &r); !errors.Is(err, boltlog.ErrBroken) {
		t.Fatal(err)
	}
	if _, err := l.Load(t.Context(), "a"); !errors.Is(err, boltlog.ErrBroken) {
		t.Fatal(err)
	}
	if s := l.Stats(); !s.Broken || s.Records != 0 {
		t.Fatalf("%+v", s)
	}
}

// TestManyAtOnce: sagas that run beside each other share the disk, and nothing
// else.
func TestManyAtOnce(t *testing.T) {
	l := open(t, boltlog.Config{})
	r := runner(t, l)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 10 {
				o, err := r.Run(t.Context(), "d", fmt.Sprint(w, "-", i), nil)
				if err != nil || o.State != saga.Succeeded || string(o.Results[1]) != o.ID {
					t.Error(o, err)
				}
			}
		})
	}
	wg.Wait()
	s := l.Stats()
	if s.Records != 160 || s.Changes != 160*4 || s.Commits > s.Changes {
		t.Errorf("%+v", s)
	}
	t.Logf("%+v", s)
}

func runner(t testing.TB, l saga.Log) *saga.Runner {
	call := saga.Call{Unknown: saga.Redo(), Run: func(_ context.Context, a *saga.Attempt) ([]byte, error) { return []byte(a.ID), nil }}
	r, err := saga.NewRunner(saga.Config{Log: l, Idem: &idem.Client{Store: new(idem.Memory)}, Write: patience,
		Definitions: []*saga.Definition{{Name: "d", Steps: []saga.Step{{Name: "a", Do: call}, {Name: "b", Do: call}}}}})
	ok(t, err)
	t.Cleanup(func() { ok(t, r.Close(context.Background())) })
	return r
}

// BenchmarkSaga is of two steps each, 64 at once for each processor; idem's
// records are in memory.
func BenchmarkSaga(b *testing.B) {
	l := open(b, boltlog.Config{})
	r := runner(b, l)
	var n atomic.Int64
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Run(context.Background(), "d", fmt.Sprint(n.Add(1)), nil); err != nil {
				b.Error(err)
			}
		}
	})
	s := l.Stats()
	b.ReportMetric(float64(s.Changes)/float64(b.N), "writes/op")
	b.ReportMetric(float64(s.Commits)/float64(b.N), "commits/op")
}
