package boltlog_test

import (
	"errors"
	"path/filepath"
	"reflect"
	"testing"
	"time"

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
