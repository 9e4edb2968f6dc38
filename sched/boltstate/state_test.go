package boltstate_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/sched/boltstate"
	"github.com/weir-go/weir/sched/schedtest"
)

func open(t testing.TB, cfg boltstate.Config) *boltstate.State {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "state")
	}
	s, err := boltstate.Open(cfg)
	ok(t, err)
	t.Cleanup(func() { ok(t, s.Close()) })
	return s
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fails(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%v, want %v", err, want)
	}
}

func TestState(t *testing.T) {
	schedtest.TestState(t, func(t *testing.T) sched.State { return open(t, boltstate.Config{}) })
}

func TestKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	var last *boltstate.State
	schedtest.TestKept(t, func(t *testing.T) sched.State {
		if last != nil {
			ok(t, last.Close())
		}
		last = open(t, boltstate.Config{Path: path})
		return last
	})
}

func TestLimits(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "state")
	s := open(t, boltstate.Config{Path: path, Limit: 1})
	_, err := boltstate.Open(boltstate.Config{Path: path, Lock: 10 * time.Millisecond})
	if err == nil {
		t.Fatal("opened twice")
	}
	_, err = s.Begin(ctx, "", 1)
	ok(t, err)
	_, err = s.Begin(ctx, "", 2)
	ok(t, err)
	_, err = s.Begin(ctx, "another", 1)
	fails(t, err, boltstate.ErrFull)
	_, err = s.Begin(ctx, strings.Repeat("x", 32_001), 1)
	fails(t, err, boltstate.ErrName)
	if got := s.Stats(); got.Records != 1 || got.Refused != 1 || got.Changes != 2 || got.Broken {
		t.Fatalf("%+v", got)
	}
	ok(t, s.Forget(ctx, ""))
	_, err = s.Begin(ctx, strings.Repeat("x", 32_000), 1)
	ok(t, err)
	ok(t, s.Close())
	_, err = s.Begin(ctx, "job", 1)
	fails(t, err, boltstate.ErrClosed)
	_, err = s.Load(ctx, "job")
	fails(t, err, boltstate.ErrClosed)
}

// TestBrokenDisk: after a commit that failed nothing is acknowledged.
func TestBrokenDisk(t *testing.T) {
	s := open(t, boltstate.Config{})
	failure := errors.New("no disk")
	boltstate.FailDisk(s, failure)
	m, err := s.Begin(t.Context(), "job", 1)
	fails(t, err, failure)
	if m != (sched.Mark{}) {
		t.Fatalf("%+v", m)
	}
	_, err = s.Load(t.Context(), "job")
	fails(t, err, boltstate.ErrBroken)
	if got := s.Stats(); !got.Broken || got.Records != 0 {
		t.Fatalf("%+v", got)
	}
}

// TestSpoiled: what nobody here has written is neither taken for a mark nor
// written over, unless somebody forgets it.
func TestSpoiled(t *testing.T) {
	s, ctx := open(t, boltstate.Config{}), t.Context()
	for _, b := range []string{"", "\x01", "\x02\x00" + strings.Repeat("\x00", 16), "\x01\x02" + strings.Repeat("\x00", 16)} {
		ok(t, boltstate.Spoil(ctx, s, "job", []byte(b)))
		_, err := s.Load(ctx, "job")
		fails(t, err, boltstate.ErrFormat)
		_, err = s.Begin(ctx, "job", 1)
		fails(t, err, boltstate.ErrFormat)
		fails(t, s.End(ctx, sched.Mark{Job: "job", Instant: 1}), boltstate.ErrFormat)
	}
	ok(t, s.Forget(ctx, "job"))
	_, err := s.Begin(ctx, "job", 1)
	ok(t, err)
}

// TestJobsShareTheDisk: what waits while a transaction is written is written
// with the next one.
func TestJobsShareTheDisk(t *testing.T) {
	s := open(t, boltstate.Config{})
	var wg sync.WaitGroup
	for j := range 64 {
		wg.Go(func() {
			for n := range 5 {
				m, err := s.Begin(t.Context(), fmt.Sprint(j), sched.Instant(n+1))
				if err == nil {
					err = s.End(t.Context(), m)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got := s.Stats()
	if got.Changes != 640 || got.Commits >= got.Changes || got.Records != 64 {
		t.Fatalf("%+v", got)
	}
	t.Logf("%+v", got)
}
