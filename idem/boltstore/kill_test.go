package boltstore_test

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
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/idem/boltstore"
	"github.com/weir-go/weir/internal/leak"
)

// The tests of this file kill processes: this test program, started again with
// one of these to do.
var children = map[string]func(path, arg string){"write": writeForEver, "work": workAndDie}

func TestMain(m *testing.M) {
	if job := os.Getenv("BOLTSTORE_CHILD"); job != "" {
		children[job](os.Getenv("BOLTSTORE_PATH"), os.Getenv("BOLTSTORE_ARG"))
		return
	}
	leak.Main(m)
}

func child(t *testing.T, job, path, arg string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	ok(t, err)
	c := exec.Command(self)
	c.Env = append(os.Environ(), "BOLTSTORE_CHILD="+job, "BOLTSTORE_PATH="+path, "BOLTSTORE_ARG="+arg)
	c.Stderr = os.Stderr
	return c
}

// writeForEver begins and finishes records, and says so after each answer.
func writeForEver(path, prefix string) {
	s, err := boltstore.Open(boltstore.Config{Path: path})
	must(err)
	var wg sync.WaitGroup
	var out sync.Mutex
	say := func(format string, args ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Printf(format, args...)
	}
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%s-%d-%d", prefix, w, i)
				g, err := s.Begin(bg, name, claim(byte(w)))
				must(err)
				say("begun %s %d\n", name, g.Fence)
				f := idem.Final{State: idem.Done, Result: []byte(name), Retain: claim(0).Retain}
				_, err = s.Finish(bg, name, idem.Hold{Owner: idem.Owner{byte(w)}, Fence: g.Fence}, f)
				must(err)
				say("done %s %d\n", name, g.Fence)
			}
		})
	}
	wg.Wait()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// TestKilled: a process is killed at a random moment, again and again; whatever
// it had an answer for is there.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "idem")
	heard := map[string]string{} // name to the last that was heard of it
	for round := range 8 {
		c := child(t, "write", path, fmt.Sprint(round))
		lines := rand.IntN(300)
		t.Logf("killed after %d lines", lines)
		out, err := c.StdoutPipe()
		ok(t, err)
		ok(t, c.Start())
		in := bufio.NewScanner(out)
		for n := 0; in.Scan(); n++ {
			if n == lines { // what is in the pipe by now was acknowledged as well
				c.Process.Kill()
			}
			if f := strings.Fields(in.Text()); len(f) == 3 {
				heard[f[1]] = in.Text()
			}
		}
		c.Wait()
		checkHeard(t, path, heard)
	}
	if len(heard) == 0 {
		t.Fatal("nothing was heard")
	}
	t.Logf("%d records", len(heard))
}

func checkHeard(t *testing.T, path string, heard map[string]string) {
	t.Helper()
	s, err := boltstore.Open(boltstore.Config{Path: path})
	ok(t, err)
	defer s.Close()
	fences := map[uint64]string{}
	for name, line := range heard {
		r, err := s.Lookup(bg, name)
		ok(t, err)
		if want := fmt.Sprintf("%s %d", name, r.Fence); !strings.HasSuffix(line, want) {
			t.Fatalf("heard %q, found fence %d", line, r.Fence)
		}
		done := r.State == idem.Done && string(r.Result) == name
		if strings.HasPrefix(line, "done") && !done || !done && r.State != idem.Running {
			t.Fatalf("heard %q, found %v %q", line, r.State, r.Result)
		}
		if other := fences[r.Fence]; other != "" {
			t.Fatalf("%s and %s have one fence", name, other)
		}
		fences[r.Fence] = name
	}
	g := begin(t, s, fmt.Sprintf("check %d", len(heard)), claim(1), idem.New)
	for fence, name := range fences {
		if g.Fence <= fence {
			t.Fatalf("fence %d after %s had %d", g.Fence, name, fence)
		}
	}
}

// The places where a worker dies.
var deathbeds = []string{"before the mark", "after the mark", "after the effect", "before the end is told"}

// workAndDie does what is to be done once, and kills itself at that place.
func workAndDie(path, place string) {
	die := func(here string) {
		if here == place {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	s, err := boltstore.Open(boltstore.Config{Path: path})
	must(err)
	c := patient(dyingAtTheEnd{s, func() { die("before the end is told") }})
	c.Do(bg, order, nil, idem.Policy{Unknown: idem.Redo()}, func(ctx context.Context, a *idem.Attempt) ([]byte, error) {
		die("before the mark")
		must(a.Mark(ctx, []byte("charging")))
		die("after the mark")
		must(effect(path+".ledger", a.Fence))
		die("after the effect")
		return []byte("charged"), nil
	})
	panic("alive")
}

// patient is with a slow disk: nothing is given up.
func patient(s idem.Store) *idem.Client {
	return &idem.Client{Store: s, Try: time.Minute, Patience: time.Minute}
}

type dyingAtTheEnd struct {
	*boltstore.Store
	die func()
}

func (d dyingAtTheEnd) Finish(ctx context.Context, name string, h idem.Hold, f idem.Final) (idem.Verdict, error) {
	d.die()
	return d.Store.Finish(ctx, name, h, f)
}

var order = idem.Key{Operation: "charge", ID: "order 4711"}

// effect is outside of all stores: a line in a file, on the disk when it returns.
func effect(ledger string, fence uint64) error {
	f, err := os.OpenFile(ledger, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Fprintln(f, fence)
	return f.Sync()
}

func effects(t *testing.T, ledger string) int {
	b, err := os.ReadFile(ledger)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return bytes.Count(b, []byte("\n"))
}

// TestWorkerDies at each place, and each choice of what to do then does what it
// says: with Reconcile the effect takes place once wherever he died.
func TestWorkerDies(t *testing.T) {
	for i, place := range deathbeds {
		happened := i >= 2
		for _, choice := range []string{"redo", "reconcile", "halt"} {
			t.Run(place+", "+choice, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "idem")
				if err := child(t, "work", path, place).Run(); err == nil || !strings.Contains(err.Error(), "killed") {
					t.Fatalf("the worker ended with %v", err)
				}
				n := effects(t, path+".ledger")
				if (n == 1) != happened {
					t.Fatalf("%d effects before", n)
				}
				takeOver(t, path, choice, n)
			})
		}
	}
}

func takeOver(t *testing.T, path, choice string, before int) {
	s := open(t, boltstore.Config{Path: path})
	c := patient(s)
	policy := map[string]idem.Choice{"redo": idem.Redo(), "halt": idem.Halt(),
		"reconcile": idem.Reconcile(func(_ context.Context, a *idem.Attempt) (idem.Finding, error) {
			if before > 0 {
				return idem.Applied([]byte("found")), nil
			}
			return idem.NotApplied(), nil
		})}
	want := map[string]int{"redo": before + 1, "halt": before, "reconcile": 1}[choice]
	for range 2 { // the second time it is settled
		r, err := c.Do(bg, order, nil, idem.Policy{Unknown: policy[choice]}, func(ctx context.Context, a *idem.Attempt) ([]byte, error) {
			if !a.Taken || a.Number != 2 {
				t.Errorf("attempt %+v", a)
			}
			return []byte("charged"), effect(path+".ledger", a.Fence)
		})
		if (choice == "halt") != errors.Is(err, idem.ErrUnknown) || choice != "halt" && (err != nil || r.Result == nil) {
			t.Fatalf("%+v, %v", r, err)
		}
		if n := effects(t, path+".ledger"); n != want {
			t.Fatalf("%d effects, want %d", n, want)
		}
	}
}
