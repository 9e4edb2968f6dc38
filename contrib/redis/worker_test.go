package redis_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/redis"
	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/internal/leak"
)

// The tests of this file have workers in processes of their own: this test
// program, started again.
func TestMain(m *testing.M) {
	if broken := os.Getenv("REDIS_MUTATION"); broken != "" && broken != "article" {
		redis.Mutate(broken)
	}
	switch place := os.Getenv("REDIS_WORKER"); place {
	case "":
	case "order":
		var k int64
		fmt.Sscan(os.Getenv("REDIS_DIE"), &k)
		takeOrders(os.Getenv("REDIS_SINK"), os.Getenv("REDIS_ADDR"), os.Getenv("REDIS_ORDER"), k)
		return
	default:
		work(place, os.Getenv("REDIS_ADDR"), sink(os.Getenv("REDIS_SINK")))
		return
	}
	leak.Main(m)
}

// brief is the policy of the workers: a dead one is noticed soon.
func brief(c idem.Choice) idem.Policy {
	return idem.Policy{Unknown: c, Lease: 300 * time.Millisecond, Wait: true}
}

// work does what is to be done once, and at that place kills itself, or stops
// until somebody has it go on. It says what became of it.
func work(place, addr string, to sink) {
	at := func(here string) {
		switch place {
		case here:
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		case here + ", stop":
			fmt.Println("stopping")
			syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			fmt.Scanln() // all threads stop some time after the call, not in it
		}
	}
	rt, err := conn.Start(conn.Config{})
	must(err)
	s, err := redis.Open(bg, redis.Config{Runtime: rt, Addrs: []string{addr}, Timeout: patience})
	must(err)
	c := client(&ending{s, func() { at("before the end is told") }})
	_, err = c.Do(bg, key, nil, brief(idem.Redo()), func(ctx context.Context, a *idem.Attempt) ([]byte, error) {
		at("before the mark")
		must(a.Mark(context.WithoutCancel(ctx), []byte("charging"))) // though the lease is over: nobody else is there
		at("before the effect")
		fmt.Println("fenced", ctx.Err() != nil)
		fmt.Println("effect", to.effect(a.Fence)) // even so: it is the sink's to refuse
		at("after the effect")
		return []byte("by the worker"), nil
	})
	fmt.Println("lost", errors.Is(err, idem.ErrLost), c.Stats().Lost)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

type ending struct {
	*redis.Store
	at func()
}

func (e *ending) Finish(ctx context.Context, name string, h idem.Hold, f idem.Final) (idem.Verdict, error) {
	e.at()
	return e.Store.Finish(ctx, name, h, f)
}

// sink is where effects happen, outside of everything: a file of fences, which
// takes none that is below the last.
type sink string

var errOldFence = errors.New("refused: old fence")

func (s sink) effect(fence uint64) error {
	f, err := os.OpenFile(string(s), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	var last uint64
	for l := range strings.Lines(string(b)) {
		fmt.Sscan(l, &last)
	}
	if fence < last {
		return errOldFence
	}
	fmt.Fprintln(f, fence)
	return f.Sync()
}

func (s sink) count(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile(string(s))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

func worker(t *testing.T, place string, srv *server, to sink) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	ok(t, err)
	c := exec.Command(self)
	c.Env = append(os.Environ(), "REDIS_WORKER="+place, "REDIS_ADDR="+srv.Addr, "REDIS_SINK="+string(to))
	c.Stderr = os.Stderr
	return c
}

// TestWorkerDies at each place. Somebody else takes over when the lease is over,
// by each choice, and with Reconcile the effect takes place once.
func TestWorkerDies(t *testing.T) {
	srv := startServer(t)
	for i, place := range []string{"before the mark", "before the effect", "after the effect", "before the end is told"} {
		for name, want := range map[string]int{"redo": 1 + i/2, "reconcile": 1, "halt": i / 2} {
			t.Run(place+", "+name, func(t *testing.T) {
				srv.do(t, "FLUSHALL")
				to := sink(filepath.Join(t.TempDir(), "sink"))
				err := worker(t, place, srv, to).Run()
				if err == nil || !strings.Contains(err.Error(), "killed") || to.count(t) != i/2 {
					t.Fatalf("the worker ended with %v, %d effects", err, to.count(t))
				}
				takeOver(t, srv, to, name, want)
			})
		}
	}
}

func takeOver(t *testing.T, srv *server, to sink, name string, want int) {
	choice := map[string]idem.Choice{"redo": idem.Redo(), "halt": idem.Halt(),
		"reconcile": idem.Reconcile(func(context.Context, *idem.Attempt) (idem.Finding, error) {
			if to.count(t) > 0 {
				return idem.Applied([]byte("found")), nil
			}
			return idem.NotApplied(), nil
		})}[name]
	c := client(open(t, srv.Addr, redis.Config{}))
	for range 2 { // the second time it is settled
		r, err := c.Do(bg, key, nil, brief(choice), func(_ context.Context, a *idem.Attempt) ([]byte, error) {
			check(t, a.Taken && a.Number == 2, "attempt", a)
			return []byte("by the next"), to.effect(a.Fence)
		})
		if (name == "halt") != errors.Is(err, idem.ErrUnknown) || name != "halt" && (err != nil || r.Result == nil) {
			t.Fatalf("%+v, %v", r, err)
		}
		if n := to.count(t); n != want {
			t.Fatalf("%d effects, want %d", n, want)
		}
	}
}

// TestWorkerStops: a worker stands still past its lease, somebody takes over,
// and then it goes on. It finds its context ended, the sink refuses its effect,
// and its end is refused and counted.
func TestWorkerStops(t *testing.T) {
	srv := startServer(t)
	to := sink(filepath.Join(t.TempDir(), "sink"))
	w := worker(t, "before the effect, stop", srv, to)
	out, err := w.StdoutPipe()
	ok(t, err)
	goOn, err := w.StdinPipe()
	ok(t, err)
	ok(t, w.Start())
	defer func() { w.Process.Kill(); w.Wait() }()
	in := bufio.NewScanner(out)
	if !in.Scan() || in.Text() != "stopping" {
		t.Fatalf("the worker says %q", in.Text())
	}
	c := client(open(t, srv.Addr, redis.Config{}))
	r, err := c.Do(bg, key, nil, brief(idem.Redo()), func(_ context.Context, a *idem.Attempt) ([]byte, error) {
		check(t, a.Taken && string(a.Step) == "charging", "attempt", a)
		return []byte("by the next"), to.effect(a.Fence)
	})
	check(t, err == nil && string(r.Result) == "by the next", "the one who took over", err)

	ok(t, w.Process.Signal(syscall.SIGCONT))
	fmt.Fprintln(goOn)
	var said []string
	for in.Scan() {
		said = append(said, in.Text())
	}
	if want := []string{"fenced true", "effect refused: old fence", "lost true 1"}; !slices.Equal(said, want) {
		t.Errorf("the worker says %q, want %q", said, want)
	}
	check(t, to.count(t) == 1, "effects", to.count(t))
	r, err = c.Do(bg, key, nil, brief(idem.Redo()), never(t))
	check(t, err == nil && string(r.Result) == "by the next", "replay", err)
}
