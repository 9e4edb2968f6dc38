package lifecycle_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/lifecycle"
)

// The test of signals is this program, started again.
func TestMain(m *testing.M) {
	switch os.Getenv("LIFECYCLE_CHILD") {
	case "":
		leak.Main(m)
	default:
		child(os.Getenv("LIFECYCLE_CHILD"))
	}
}

// record is what was called, in order.
type record struct {
	mu  sync.Mutex
	all []string
}

func (r *record) add(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, what)
}

// part notes its calls. It answers each with the error of that name.
func (r *record) part(name string, stage lifecycle.Stage, fails map[string]error) lifecycle.Part {
	call := func(what string) func(context.Context) error {
		return func(context.Context) error {
			r.add(what + " " + name)
			return fails[what+" "+name]
		}
	}
	return lifecycle.Part{Name: name, Stage: stage, Open: call("open"), Ping: call("ping"), Stop: call("stop")}
}

func TestOrder(t *testing.T) {
	failure := errors.New("broken")
	for _, test := range []struct {
		what  string
		fails string
		want  string
	}{
		{"all is well", "", "open grpc, ping grpc, open db, ping db, open queue, ping queue, open jobs, ping jobs, ready, " +
			"stop jobs, stop db|queue, stop grpc"},
		{"open fails", "open db", "open grpc, ping grpc, open db, stop grpc"},
		{"ping fails", "ping db", "open grpc, ping grpc, open db, ping db, stop db, stop grpc"},
		{"stop fails", "stop jobs", "open grpc, ping grpc, open db, ping db, open queue, ping queue, open jobs, ping jobs, ready, " +
			"stop jobs, stop db|queue, stop grpc"},
	} {
		t.Run(test.what, func(t *testing.T) {
			r := &record{}
			fails := map[string]error{test.fails: failure}
			ctx, cancel := context.WithCancel(t.Context())
			kit := lifecycle.Kit{
				Parts: []lifecycle.Part{r.part("jobs", lifecycle.Tasks, fails), r.part("db", lifecycle.Clients, fails),
					r.part("queue", lifecycle.Clients, fails), r.part("grpc", lifecycle.Sockets, fails)},
				Ready: func() { r.add("ready"); cancel() },
			}
			err := kit.Run(ctx)
			if test.fails == "" && err != nil || test.fails != "" && !errors.Is(err, failure) {
				t.Errorf("%v", err)
			}
			if _, name, _ := strings.Cut(test.fails, " "); err != nil && !strings.Contains(err.Error(), name+": ") {
				t.Errorf("%v does not say that it was %s", err, name)
			}
			want := strings.Split(test.want, ", ")
			for i, w := range want { // those that end side by side
				if rest, ok := strings.CutPrefix(w, "stop db|"); ok {
					both := []string{"stop db", "stop " + rest}
					if len(r.all) > i+1 && slices.Contains(both, r.all[i]) && slices.Contains(both, r.all[i+1]) {
						slices.Sort(r.all[i : i+2])
					}
					want = slices.Replace(want, i, i+1, both...)
					break
				}
			}
			if !slices.Equal(r.all, want) {
				t.Errorf("got  %v\nwant %v", r.all, want)
			}
			cancel()
		})
	}
}

func TestDescriptorsAreBack(t *testing.T) {
	leak.FDs(t)
	var files []*os.File
	kit := lifecycle.Kit{Failed: closed()}
	for i := range 20 {
		kit.Parts = append(kit.Parts, lifecycle.Part{Name: fmt.Sprint(i), Stage: lifecycle.Stage(i % 4),
			Open: func(context.Context) error {
				r, w, err := os.Pipe()
				files = append(files, r, w)
				return err
			},
			Stop: func(context.Context) error {
				return errors.Join(files[2*place(i)].Close(), files[2*place(i)+1].Close())
			}})
	}
	if err := kit.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// place is when the i-th of 20 parts starts: the third stage first.
func place(i int) int {
	before := 0
	for j := range 20 {
		if j%3 > i%3 || j%3 == i%3 && j < i {
			before++
		}
	}
	return before
}

func closed() chan error {
	c := make(chan error)
	close(c)
	return c
}

func TestFailedEndsIt(t *testing.T) {
	failure, failed := errors.New("no more"), make(chan error, 1)
	failed <- failure
	r := &record{}
	kit := lifecycle.Kit{Parts: []lifecycle.Part{r.part("jobs", lifecycle.Tasks, nil)}, Failed: failed}
	if err := kit.Run(t.Context()); !errors.Is(err, failure) || !slices.Equal(r.all, []string{"open jobs", "ping jobs", "stop jobs"}) {
		t.Fatal(err, r.all)
	}
}

func TestPanicsAreErrors(t *testing.T) {
	boom := func(context.Context) error { panic("boom") }
	r := &record{}
	kit := lifecycle.Kit{Failed: closed(), Parts: []lifecycle.Part{{Name: "jobs", Stop: boom}, r.part("grpc", lifecycle.Sockets, nil)}}
	if err := kit.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "jobs: stop: panic: boom") || len(r.all) != 3 {
		t.Fatal(err, r.all)
	}
}

func TestUnknownStage(t *testing.T) {
	for _, stage := range []lifecycle.Stage{-1, lifecycle.Servers + 1} {
		kit := lifecycle.Kit{Parts: []lifecycle.Part{{Stage: stage}}, Failed: closed()}
		if err := kit.Run(t.Context()); !errors.Is(err, lifecycle.ErrStage) {
			t.Fatal(err)
		}
	}
}

// TestPatience: a part that does not end has its patience, then a second, and
// then the others are ended without it.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		began := time.Now()
		var told, sockets time.Duration
		kit := lifecycle.Kit{Failed: closed(), Signals: []os.Signal{}, Parts: []lifecycle.Part{
			{Name: "stuck", Patience: 3 * time.Second, Stop: func(ctx context.Context) error {
				<-ctx.Done()
				told = time.Since(began)
				<-release
				return nil
			}},
			{Name: "grpc", Stage: lifecycle.Sockets, Stop: func(context.Context) error {
				sockets = time.Since(began)
				return nil
			}},
		}}
		err := kit.Run(t.Context())
		if !errors.Is(err, lifecycle.ErrLeft) || !strings.Contains(err.Error(), "stuck") {
			t.Error(err)
		}
		close(release)
		synctest.Wait()
		if told != 3*time.Second || sockets != 4*time.Second {
			t.Errorf("told after %v, went on after %v", told, sockets)
		}
	})
}

// child runs until a signal; stubborn waits for its patience to end. slow is told
// to end while it starts.
func child(mode string) {
	stubborn := mode == "stubborn"
	say := func(what string) func(context.Context) error {
		return func(ctx context.Context) error {
			fmt.Println(what)
			if stubborn && what == "tasks" {
				<-ctx.Done()
				fmt.Println("hurried")
			}
			return nil
		}
	}
	kit := lifecycle.Kit{Ready: func() { fmt.Println("ready") }, Parts: []lifecycle.Part{
		{Name: "sockets", Stage: lifecycle.Sockets, Stop: say("sockets")},
		{Name: "clients", Stage: lifecycle.Clients, Stop: say("clients"), Open: func(ctx context.Context) error {
			if mode != "slow" && mode != "deaf" {
				return nil
			}
			fmt.Println("opening")
			<-ctx.Done()
			if mode == "deaf" {
				fmt.Println("told")
				select {}
			}
			return ctx.Err()
		}},
		{Name: "tasks", Stop: say("tasks"), Patience: time.Hour},
	}}
	if err := kit.Run(context.Background()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("over")
}

func TestSignals(t *testing.T) {
	for _, test := range []struct {
		mode    string
		signal  os.Signal
		want    []string
		another string // after which line a second one is sent
	}{
		{"gentle", syscall.SIGTERM, []string{"ready", "tasks", "clients", "sockets", "over"}, ""},
		{"gentle", syscall.SIGINT, []string{"ready", "tasks", "clients", "sockets", "over"}, ""},
		{"stubborn", syscall.SIGTERM, []string{"ready", "tasks", "hurried", "clients", "sockets", "over"}, "tasks"},
		{"slow", syscall.SIGTERM, []string{"opening", "sockets", "over"}, "opening"},
	} {
		t.Run(fmt.Sprint(test.mode, test.signal), func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			c := exec.CommandContext(ctx, self)
			c.Env = append(os.Environ(), "LIFECYCLE_CHILD="+test.mode, "GORACE=atexit_sleep_ms=0")
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for lines := bufio.NewScanner(out); lines.Scan(); {
				got = append(got, lines.Text())
				if lines.Text() == "ready" || lines.Text() == test.another {
					c.Process.Signal(test.signal)
				}
			}
			if err := c.Wait(); err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// What hangs in Open is ended by a third signal, as if there were no Kit.
func TestOpenThatDoesNotListen(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, self)
	c.Env = append(os.Environ(), "LIFECYCLE_CHILD=deaf", "GORACE=atexit_sleep_ms=0")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "told" {
		_ = c.Process.Signal(syscall.SIGTERM)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for again := time.NewTicker(10 * time.Millisecond); ; { // nothing says when the second was taken
		select {
		case <-again.C:
			_ = c.Process.Signal(syscall.SIGTERM)
		case <-ended:
			again.Stop()
			if s, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGTERM {
				t.Error(c.ProcessState)
			}
			return
		}
	}
}

func ExampleKit() {
	stop := make(chan error)
	close(stop) // at once, for the example
	kit := lifecycle.Kit{
		Failed: stop,
		Parts: []lifecycle.Part{
			{Name: "scheduler", Stage: lifecycle.Tasks, Stop: func(context.Context) error {
				fmt.Println("no more jobs")
				return nil
			}},
			{Name: "database", Stage: lifecycle.Clients,
				Ping: func(context.Context) error { fmt.Println("the database answers"); return nil },
				Stop: func(context.Context) error { fmt.Println("no more queries"); return nil }},
		},
	}
	fmt.Println(kit.Run(context.Background()))
	// Output:
	// the database answers
	// no more jobs
	// no more queries
	// <nil>
}
