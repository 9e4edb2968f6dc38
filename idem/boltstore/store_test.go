package boltstore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/idem/boltstore"
	"github.com/weir-go/weir/idem/idemtest"
)

var bg = context.Background()

func open(t testing.TB, cfg boltstore.Config) *boltstore.Store {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "idem")
	}
	s, err := boltstore.Open(cfg)
	ok(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func claim(owner byte) idem.Claim {
	return idem.Claim{Owner: idem.Owner{owner}, Lease: time.Hour, Retain: 2 * time.Hour, Attempts: 3}
}

func begin(t testing.TB, s *boltstore.Store, name string, c idem.Claim, want idem.Answer) idem.Grant {
	t.Helper()
	g, err := s.Begin(bg, name, c)
	ok(t, err)
	if g.Answer != want {
		t.Fatalf("%s: answer %d, want %d: %+v", name, g.Answer, want, g)
	}
	return g
}

func TestStore(t *testing.T) {
	s := open(t, boltstore.Config{})
	idemtest.TestStore(t, func(*testing.T) idem.Store { return s })
}

// TestReopen: records and fences outlive the process, leases do not.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "idem")
	s := open(t, boltstore.Config{Path: path})
	done := begin(t, s, "done", claim(1), idem.New)
	v, err := s.Finish(bg, "done", idem.Hold{Owner: idem.Owner{1}, Fence: done.Fence},
		idem.Final{State: idem.Done, Result: []byte("result"), Retain: time.Hour})
	if err != nil || v != idem.OK {
		t.Fatal(v, err)
	}
	running := begin(t, s, "running", claim(2), idem.New)
	begin(t, s, "running", claim(3), idem.Busy)
	ok(t, s.Close())
	ok(t, s.Close())
	if _, err := s.Begin(bg, "late", claim(1)); !errors.Is(err, boltstore.ErrClosed) || !errors.Is(err, idem.ErrRefused) {
		t.Fatalf("after Close: %v", err)
	}

	s = open(t, boltstore.Config{Path: path})
	if g := begin(t, s, "done", claim(4), idem.IsDone); string(g.Result) != "result" || g.Fence != done.Fence {
		t.Errorf("%+v", g)
	}
	g := begin(t, s, "running", claim(5), idem.Takeover)
	if g.Fence <= running.Fence || g.Attempt != 2 {
		t.Errorf("%+v after %+v", g, running)
	}
	if n := s.Stats().Records; n != 2 {
		t.Errorf("%d records", n)
	}
}

// TestHeartbeatsAreNotWritten, and neither is what changes nothing.
func TestHeartbeatsAreNotWritten(t *testing.T) {
	s := open(t, boltstore.Config{})
	g := begin(t, s, "a", claim(1), idem.New)
	before := s.Stats()
	for range 10 {
		v, err := s.Renew(bg, "a", idem.Hold{Owner: idem.Owner{1}, Fence: g.Fence}, idem.Renewal{Lease: time.Hour, Retain: 2 * time.Hour})
		if err != nil || v != idem.OK {
			t.Fatal(v, err)
		}
		begin(t, s, "a", claim(2), idem.Busy)
	}
	if after := s.Stats(); after != before {
		t.Errorf("%+v, before %+v", after, before)
	}
}

// TestLimit: a full file refuses, forgets what is over, and refuses no more.
func TestLimit(t *testing.T) {
	s := open(t, boltstore.Config{Limit: 10})
	brief := claim(1)
	brief.Lease, brief.Retain = time.Millisecond, time.Millisecond
	for i := range 10 {
		g := begin(t, s, fmt.Sprint(i), claim(1), idem.New)
		_, err := s.Finish(bg, fmt.Sprint(i), idem.Hold{Owner: idem.Owner{1}, Fence: g.Fence}, idem.Final{State: idem.Done, Retain: 50 * time.Millisecond})
		ok(t, err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		_, err := s.Begin(bg, "another", brief)
		if err == nil {
			break
		}
		if !errors.Is(err, idem.ErrFull) || time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(time.Millisecond)
	}
	if n := s.Stats(); n.Records > 10 {
		t.Errorf("%+v", n)
	}
}

// TestBrokenDisk: nothing is acknowledged after an error of the disk, though
// asked again.
func TestBrokenDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "idem")
	s := open(t, boltstore.Config{Path: path})
	full := errors.New("no space left on device")
	boltstore.FailDisk(s, full)
	if _, err := s.Begin(bg, "a", claim(1)); !errors.Is(err, full) {
		t.Fatal(err)
	}
	if _, err := s.Begin(bg, "a", claim(1)); !errors.Is(err, boltstore.ErrBroken) || !errors.Is(err, idem.ErrRefused) {
		t.Fatal(err)
	}
	if n := s.Stats(); !n.Broken || n.Records != 0 || n.Commits != 0 {
		t.Errorf("%+v", n)
	}
	ok(t, s.Close())
	s = open(t, boltstore.Config{Path: path})
	begin(t, s, "a", claim(1), idem.New)
}
