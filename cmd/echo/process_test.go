package main

import (
	"bytes"
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

	"github.com/stretchr/testify/require"
)

// binary is the command, built once for all tests: they run it as a person
// would.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "echo")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "echo")
	build := exec.Command("go", "build", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		return 1
	}
	return m.Run()
}

// output is what a process has written so far, to wait in.
type output struct {
	mu    sync.Mutex
	more  sync.Cond
	text  strings.Builder
	ended bool
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.more.Broadcast()
	return o.text.Write(p)
}

func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.more.Broadcast()
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await returns the submatches of pattern once it has been written; it fails
// the test when the process has ended without.
func (o *output) await(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		if found := re.FindStringSubmatch(o.text.String()); found != nil {
			return found
		}
		if o.ended {
			t.Fatalf("no %q in:\n%s", pattern, o.text.String())
		}
		o.more.Wait()
	}
}

// process is the command at work.
type process struct {
	*output // standard output and error
	cmd     *exec.Cmd
}

// patience bounds everything that a process is waited for.
const patience = time.Minute

// start runs the command. It is killed when it outlives the test or a minute.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command(binary, args...))
}

func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{output: &output{}, cmd: cmd}
	p.more.L = &p.mu
	cmd.Stdout, cmd.Stderr = p.output, p.output
	require.NoError(t, cmd.Start())
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	waited := make(chan struct{})
	go func() {
		cmd.Wait()
		late.Stop()
		p.end()
		close(waited)
	}()
	t.Cleanup(func() { cmd.Process.Kill(); <-waited })
	return p
}

// address waits until the server says where it listens.
func (p *process) address(t *testing.T) string {
	t.Helper()
	return p.await(t, `(?m)^echo on \w+://(\S+) `)[1]
}

// code waits for the end and returns the exit code, -1 after a signal.
func (p *process) code() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.ended {
		p.more.Wait()
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop asks the server to end and checks that it did in order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 0, p.code(), "%s", p)
}

// dial connects as nc would.
func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

// say sends a line and waits for it to come back.
func say(t *testing.T, c net.Conn, line string) {
	t.Helper()
	_, err := c.Write([]byte(line))
	require.NoError(t, err)
	got := make([]byte, len(line))
	for n := 0; n < len(got); {
		m, err := c.Read(got[n:])
		require.NoError(t, err)
		n += m
	}
	require.True(t, bytes.Equal([]byte(line), got))
}
