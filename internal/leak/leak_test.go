package leak

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/panjf2000/ants/v2"
)

func TestMain(m *testing.M) { Main(m) }

// runner is a package's tests, as far as run can tell.
type runner func() int

func (r runner) Run() int { return r() }

// impatient is for what is known not to go away.
const impatient = time.Nanosecond

func TestCleanRun(t *testing.T) {
	var out strings.Builder
	if code := run(runner(func() int { return 0 }), &out, impatient); code != 0 {
		t.Fatalf("exit code %d: %s", code, out.String())
	}
}

func TestFailureIsKept(t *testing.T) {
	var out strings.Builder
	if code := run(runner(func() int { return 3 }), &out, impatient); code != 3 || out.Len() > 0 {
		t.Fatalf("exit code %d, said %q; want the tests' own 3 and nothing said", code, out.String())
	}
}

func TestGoroutineIsFound(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	var out strings.Builder
	code := run(runner(func() int { go lingering(release); return 0 }), &out, impatient)
	if code != 1 || !strings.Contains(out.String(), "leak.lingering") {
		t.Fatalf("exit code %d, said %q; want 1 and the goroutine's name", code, out.String())
	}
}

func lingering(release chan struct{}) { <-release }

// TestSlowGoroutineIsAwaited has a goroutine end only after the first look
// found it: the look is what releases it.
func TestSlowGoroutineIsAwaited(t *testing.T) {
	looks := 0
	release := make(chan struct{})
	go lingering(release)
	err := settle(time.Hour, func() error {
		looks++
		if looks == 3 {
			close(release)
		}
		select {
		case <-release:
			return nil
		default:
			return os.ErrExist
		}
	})
	if err != nil || looks != 3 {
		t.Fatalf("error %v after %d looks", err, looks)
	}
}

// TestStopIsNotPatience has a look take as long as the machine is stopped: what
// ends right after that is not late.
func TestStopIsNotPatience(t *testing.T) {
	looks := 0
	err := settle(atOnce+time.Millisecond, func() error {
		looks++
		if looks == 2 {
			return nil
		}
		<-time.After(atOnce + 2*time.Millisecond)
		return os.ErrExist
	})
	if err != nil || looks != 2 {
		t.Fatalf("error %v after %d looks", err, looks)
	}
}

// The pool that ants makes when it is imported has the same goroutines as this
// one; only this one is younger than the run.
func TestForgottenPoolIsFound(t *testing.T) {
	var out strings.Builder
	var pool *ants.Pool
	code := run(runner(func() int {
		var err error
		pool, err = ants.NewPool(1)
		if err != nil {
			t.Error(err)
		}
		return 0
	}), &out, impatient)
	defer pool.ReleaseTimeout(patience)
	if code != 1 || !strings.Contains(out.String(), "purgeStaleWorkers") {
		t.Fatalf("exit code %d, said %q; want 1 and the pool's goroutine", code, out.String())
	}
}

func TestDescriptorIsFound(t *testing.T) {
	needProc(t)
	var file *os.File
	var out strings.Builder
	code := run(runner(func() int { file = open(t); return 0 }), &out, impatient)
	defer file.Close()
	if code != 1 || !strings.Contains(out.String(), file.Name()) {
		t.Fatalf("exit code %d, said %q; want 1 and the name %s", code, out.String(), file.Name())
	}
}

func TestReusedNumberIsFound(t *testing.T) {
	needProc(t)
	old := open(t)
	before := openFDs()
	old.Close()
	file := open(t) // most likely the same number
	defer file.Close()
	if err := newFDs(before); err == nil || !strings.Contains(err.Error(), file.Name()) {
		t.Fatalf("got %v, want the name %s", err, file.Name())
	}
}

// recorder is a test that takes down what it is told.
type recorder struct {
	testing.TB
	cleanup func()
	failed  bool
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanup = f }
func (r *recorder) Error(...any)     { r.failed = true }

func TestFDs(t *testing.T) {
	needProc(t)
	for _, test := range []struct {
		name  string
		leave bool
	}{
		{"closed", false},
		{"left open", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &recorder{TB: t}
			watch(r, impatient)
			file := open(t)
			defer file.Close()
			if !test.leave {
				file.Close()
			}
			r.cleanup()
			if r.failed != test.leave {
				t.Fatalf("failed is %v", r.failed)
			}
		})
	}
}

func open(t *testing.T) *os.File {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "left")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func needProc(t *testing.T) {
	t.Helper()
	if openFDs() == nil {
		t.Skip("no /proc/self/fd here")
	}
}
