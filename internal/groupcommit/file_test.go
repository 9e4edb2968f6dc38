package groupcommit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/weir-go/weir/internal/groupcommit"
	"github.com/weir-go/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

var (
	bg        = context.Background()
	errClosed = errors.New("closed")
	errBroken = errors.New("broken")
	bucket    = []byte("records")
)

func open(t *testing.T, cfg groupcommit.Config) *groupcommit.File {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "file")
	}
	cfg.Name, cfg.Closed, cfg.Broken = "test", errClosed, errBroken
	cfg.Buckets = []string{string(bucket), "other"}
	f, err := groupcommit.Open(cfg)
	ok(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// add returns a change that adds a record.
func add(key string) func(*groupcommit.Turn) (refused, disk error) {
	return func(t *groupcommit.Turn) (refused, disk error) {
		if t.Full() {
			return errors.New("full"), nil
		}
		t.Records++
		t.Changes++
		return nil, t.Bucket(bucket).Put([]byte(key), []byte(key))
	}
}

func has(t *testing.T, f *groupcommit.File, key string) (found bool) {
	t.Helper()
	ok(t, f.View(bg, func(tx *bbolt.Tx) error {
		found = tx.Bucket(bucket).Get([]byte(key)) != nil
		return nil
	}))
	return found
}

// TestReopen: what was answered outlives the File, and is counted.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f := open(t, groupcommit.Config{Path: path, Limit: 2})
	second := groupcommit.Config{Path: path, Buckets: []string{"b"}, Lock: 10 * time.Millisecond}
	if _, err := groupcommit.Open(second); err == nil {
		t.Fatal("opened twice")
	}
	ok(t, f.Do(bg, add("a")))
	ok(t, f.Close())
	ok(t, f.Close())
	if err := f.Do(bg, add("b")); err != errClosed {
		t.Error(err)
	}
	if err := f.View(bg, nil); err != errClosed {
		t.Error(err)
	}

	f = open(t, groupcommit.Config{Path: path, Limit: 2})
	ok(t, f.Do(bg, add("b")))
	if err := f.Do(bg, add("c")); err == nil || has(t, f, "c") {
		t.Error("added a third of two")
	}
	if want := (groupcommit.Stats{Records: 2, Commits: 2, Changes: 1, Refused: 1}); f.Stats() != want || !has(t, f, "a") {
		t.Errorf("%+v, want %+v", f.Stats(), want)
	}
}

// TestDamaged: a file that was cut off, by a copy that was not complete for instance,
// is an error and not the end of the process.
func TestDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f := open(t, groupcommit.Config{Path: path})
	for i := range 100 {
		ok(t, f.Do(bg, add(fmt.Sprintf("%04000d", i))))
	}
	ok(t, f.Close())
	whole, err := os.ReadFile(path)
	ok(t, err)
	half := filepath.Join(t.TempDir(), "half")
	refused := 0
	for cut := os.Getpagesize(); cut < len(whole); cut += 7 * os.Getpagesize() {
		ok(t, os.WriteFile(half, whole[:cut], 0o600))
		g, err := groupcommit.Open(groupcommit.Config{Path: half, Name: "test", Buckets: []string{string(bucket)}, Lock: time.Millisecond})
		if err == nil {
			ok(t, g.Close())
			continue
		}
		refused++
		half += "." // that one's lock is kept
	}
	if refused == 0 {
		t.Error("nothing was missed")
	}
}

// TestChangesShareATransaction when they come while another one is written, up
// to Batch of them; and what is refused does not harm its neighbours.
func TestChangesShareATransaction(t *testing.T) {
	var sizes []int // the writer's until Close
	f := open(t, groupcommit.Config{Batch: 100, After: func(t *groupcommit.Turn, n int) error {
		sizes = append(sizes, n)
		return t.Bucket([]byte("other")).Put([]byte("after"), []byte{byte(n)})
	}})
	taken, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f.Do(bg, func(*groupcommit.Turn) (refused, disk error) {
			close(taken)
			<-release
			return nil, nil
		}); err != nil {
			t.Error(err)
		}
	})
	<-taken
	refusal := errors.New("every tenth")
	for i := range 250 {
		wg.Go(func() {
			var want error
			change := add(fmt.Sprint(i))
			if i%10 == 0 {
				want = refusal
				change = func(*groupcommit.Turn) (refused, disk error) { return refusal, nil }
			}
			if err := f.Do(bg, change); err != want {
				t.Error(i, err)
			}
		})
	}
	for groupcommit.Queued(f) < 250 {
		<-time.After(time.Millisecond)
	}
	close(release)
	wg.Wait()
	stats := f.Stats()
	ok(t, f.Close())
	if want := (groupcommit.Stats{Records: 225, Changes: 225, Commits: 4}); stats != want {
		t.Errorf("%+v, want %+v", stats, want)
	}
	if want := []int{1, 100, 100, 50}; !slices.Equal(sizes, want) {
		t.Errorf("transactions of %v changes, want %v", sizes, want)
	}
}

// TestBrokenDisk: the changes of a transaction that failed all fail, and
// nothing is read or answered afterwards.
func TestBrokenDisk(t *testing.T) {
	failure := errors.New("no space left on device")
	for name, breakIt := range map[string]func(*groupcommit.File) error{
		"by the disk": func(f *groupcommit.File) error {
			groupcommit.FailDisk(f, failure)
			return f.Do(bg, add("a"))
		},
		"by a change": func(f *groupcommit.File) error {
			return f.Do(bg, func(t *groupcommit.Turn) (refused, disk error) {
				add("a")(t)
				return nil, failure
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			f := open(t, groupcommit.Config{Path: path})
			if err := breakIt(f); !errors.Is(err, failure) || err.Error() != "test: "+failure.Error() {
				t.Errorf("%v", err)
			}
			if err := f.Do(bg, add("a")); err != errBroken {
				t.Error(err)
			}
			if err := f.View(bg, nil); err != errBroken {
				t.Error(err)
			}
			if want := (groupcommit.Stats{Broken: true}); f.Stats() != want || !f.Broken() {
				t.Errorf("%+v", f.Stats())
			}
			ok(t, f.Close())
			if f = open(t, groupcommit.Config{Path: path}); has(t, f, "a") || f.Broken() {
				t.Error("a change that was not answered is there")
			}
		})
	}
}

// TestDoHeedsContext: neither a full queue nor a slow disk holds a caller whose
// context ends, nor Close the callers that wait.
func TestDoHeedsContext(t *testing.T) {
	f := open(t, groupcommit.Config{Queue: 1, Batch: 1})
	turn := make(chan struct{})
	groupcommit.HoldDisk(f, turn)
	ctx, cancel := context.WithTimeout(bg, 20*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := f.Do(ctx, add(fmt.Sprint(i))); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := f.View(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	for i := range 8 {
		wg.Go(func() {
			if err := f.Do(bg, add(fmt.Sprint(i))); err != nil && err != errClosed {
				t.Error(err)
			}
		})
	}
	closed := make(chan error)
	go func() { closed <- f.Close() }()
	for {
		select {
		case turn <- struct{}{}:
			continue
		case err := <-closed:
			ok(t, err)
		}
		break
	}
	wg.Wait()
}
