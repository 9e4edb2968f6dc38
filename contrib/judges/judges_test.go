package judges

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds everything that a process is waited for; a judge has to be
// compiled the first time.
const patience = 3 * time.Minute

// missing skips the test because a judge can't be had.
func missing(t testing.TB, what string, err error) {
	t.Helper()
	if os.Getenv("WEIR_JUDGES") == "all" {
		t.Fatalf("%s can't be had: %v", what, err)
	}
	t.Skipf("%s can't be had: %v", what, err)
}

// installed returns a command of this machine.
func installed(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name, err)
	}
	return path
}

// tool compiles a judge of the go.mod in dir, or takes it from the go command's
// cache, and returns its path. A judge that is there and can't be compiled is a
// failure.
func tool(t testing.TB, dir, path string) string {
	t.Helper()
	notUnderRace(t)
	cmd := command(t, "go", "tool", "-n", path)
	cmd.Dir = dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	switch {
	case err == nil:
		return strings.TrimSpace(string(out))
	case unreachable.MatchString(errs.String()):
		missing(t, path, fmt.Errorf("%s", &errs))
	}
	t.Fatalf("%s: %v\n%s", path, err, &errs)
	return ""
}

// unreachable is what the go command says when it can't get a module.
var unreachable = regexp.MustCompile(`dial tcp|no such host|module lookup disabled|connection refused|i/o timeout`)

// notUnderRace skips what runs in other processes, which the race detector does
// not see into.
func notUnderRace(t testing.TB) {
	t.Helper()
	if underRace {
		t.Skip("other processes: nothing for the race detector")
	}
}

// command is a process that ends with the test, and in any case after patience.
func command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, name, args...)
}

// run runs a process and returns what it has written to both outputs.
func run(t testing.TB, name string, args ...string) (out string, err error) {
	t.Helper()
	both, err := command(t, name, args...).CombinedOutput()
	return string(both), err
}

// must is run for a process that has to end well.
func must(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := run(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return out
}

// contains fails the test when out has no want.
func contains(t testing.TB, out, want string) {
	t.Helper()
	if !strings.Contains(out, want) {
		t.Fatalf("no %q in:\n%s", want, out)
	}
}

// binary is cmd/echo, compiled once for all tests, where TestMain clears up. Its
// files are opened here, and the packages below it imported by other tests, so
// that a change of them is one of this test for the go command's cache, too.
var binary = sync.OnceValues(func() (string, error) {
	files, err := filepath.Glob("../../cmd/echo/*.go")
	for _, file := range files {
		if _, err = os.ReadFile(file); err != nil {
			return "", err
		}
	}
	path := filepath.Join(scratch, "echo")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/echo")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

var scratch string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "judges"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	return m.Run()
}

// echo starts cmd/echo -grpc as people do and returns its address. At the end
// of the test it is asked to end, and has to do so in order.
func echo(t testing.TB) (addr string) {
	t.Helper()
	notUnderRace(t)
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(t, path, "-grpc", "127.0.0.1:0")
	said := &firstMatch{re: regexp.MustCompile(`echo on tcp://(\S+)`), found: make(chan string, 1)}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Errorf("the server: %v\n%s", err, said)
		}
	})
	select {
	case addr = <-said.found:
	case err := <-ended:
		ended <- err
		t.Fatalf("the server: %v\n%s", err, said)
	}
	return addr
}

// firstMatch keeps what a process writes and tells the first submatch in it.
type firstMatch struct {
	re    *regexp.Regexp
	found chan string
	mu    sync.Mutex
	text  bytes.Buffer
}

func (w *firstMatch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if m := w.re.FindSubmatch(w.text.Bytes()); m != nil {
		select {
		case w.found <- string(m[1]):
		default: // told already
		}
	}
	return len(p), nil
}

func (w *firstMatch) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func hostPort(t testing.TB, addr string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}
