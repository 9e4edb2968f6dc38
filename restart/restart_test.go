package restart_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/restarttest"
)

// once connects, asks, and closes.
func once(network, address string) func(n int) error {
	return func(n int) error {
		c, err := net.Dial(network, address)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(await.Patience))
		message := strconv.Itoa(n)
		if _, err := io.WriteString(c, message); err != nil {
			return err
		}
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			return err
		}
		back, err := io.ReadAll(c)
		if err == nil && string(back) != message {
			err = fmt.Errorf("asked %s, heard %q", message, back)
		}
		return err
	}
}

// get asks by clients that keep a connection each. Did they share a Transport, it
// would dial more than it needs, and a server waits 5 s for a connection that never
// asks.
func get(t *testing.T, clients int, address string) func(int) error {
	all := make([]http.Client, clients)
	for i := range all {
		tr := &http.Transport{}
		t.Cleanup(tr.CloseIdleConnections)
		all[i] = http.Client{Transport: tr, Timeout: await.Patience}
	}
	return func(n int) error {
		r, err := all[n%clients].Get("http://" + address)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if _, nan := strconv.Atoi(string(body)); err == nil && nan != nil {
			err = nan
		}
		return err
	}
}

// TestUnderLoad restarts a server while clients of all kinds ask it: nobody is
// refused, and no request is broken. WEIR_FAULTS=long is five restarts.
func TestUnderLoad(t *testing.T) {
	restarts, between := 2, uint64(200)
	if os.Getenv("WEIR_FAULTS") == "long" {
		restarts, between = 5, 3000
	}
	s := begin(t)
	loads := map[string]*restarttest.Load{
		"tcp, a connection each":          restarttest.Ask(4, once("tcp", s.echo)),
		"unix, a connection each":         restarttest.Ask(2, once("unix", s.file)),
		"http, kept alive":                restarttest.Ask(4, get(t, 4, s.web)),
		"http on package net, kept alive": restarttest.Ask(2, get(t, 2, s.std)),
	}
	for i := range restarts {
		for _, l := range loads {
			l.More(t, between)
		}
		old, sig := s.PID, []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR2}[i%2]
		s.Signal(sig)
		s.Serves()
		if s.PID == old || s.Generation != i+1 {
			t.Fatalf("process %d after %d, generation %d", s.PID, old, s.Generation)
		}
	}
	for what, l := range loads {
		l.More(t, between)
		l.End(t, what)
	}
	s.Signal(syscall.SIGTERM)
	s.Ends(restarts + 1)
	if _, err := os.Lstat(s.file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's file is left: %v", err)
	}
}

// TestSuccessorFails: one that dies, or is not ready in time, changes nothing.
func TestSuccessorFails(t *testing.T) {
	for _, test := range []struct{ do, patience, want string }{
		{"die", "20s", "restart: the successor ended before it was ready: exit status 7"},
		{"wait", "300ms", "restart: the successor was not ready in time"},
	} {
		t.Run(test.do, func(t *testing.T) {
			s := begin(t, "RESTART_NEXT="+test.do, "RESTART_PATIENCE="+test.patience)
			tcp := restarttest.Ask(2, once("tcp", s.echo))
			file := restarttest.Ask(2, once("unix", s.file))
			for range 2 {
				s.Signal(syscall.SIGHUP)
				if got := s.Says("restarted"); got != test.want {
					t.Errorf("%q, want %q", got, test.want)
				}
				tcp.More(t, 20)
				file.More(t, 20)
			}
			tcp.End(t, "tcp")
			file.End(t, "unix")
			s.Signal(syscall.SIGTERM)
			s.Ends(1)
		})
	}
}

// TestOneAtATime: while a successor is being started another one is refused, and a
// program that is told to end does not wait for it.
func TestOneAtATime(t *testing.T) {
	s := begin(t, "RESTART_NEXT=wait")
	s.Signal(syscall.SIGHUP)
	pid, _ := strconv.Atoi(s.Says("waiting"))
	s.Signal(syscall.SIGHUP)
	if got := s.Says("restarted"); got != "restart: a successor is being started" {
		t.Errorf("%q", got)
	}
	s.Signal(syscall.SIGTERM)
	if got := s.Says("restarted"); got != "context canceled" {
		t.Errorf("%q", got)
	}
	s.Ends(1)
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the successor is left: %v", err)
	}
}

// TestServiceManager: the first process gets its sockets as systemd passes them, by
// a name of the unit's; its successor has them too; and the file that is the
// manager's outlives both.
func TestServiceManager(t *testing.T) {
	file := t.TempDir() + "/s"
	var files []*os.File
	for _, at := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", file}} {
		l, err := net.Listen(at[0], at[1])
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	// A shell, because only it knows the process's number in time.
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0])
	cmd.ExtraFiles = files
	s := where(restarttest.BeginCommand(t, cmd, role+"=1", "RESTART_FILE="+file, "LISTEN_FDS=2", "LISTEN_FDNAMES=echo:files.socket"))
	address, err := net.FileListener(files[0])
	if err != nil {
		t.Fatal(err)
	}
	address.Close()
	if s.echo != address.Addr().String() || s.file != file {
		t.Fatalf("it listens on %s and %s", s.echo, s.file)
	}
	tcp, unix := restarttest.Ask(2, once("tcp", s.echo)), restarttest.Ask(2, once("unix", file))
	s.Signal(syscall.SIGHUP)
	s.Serves()
	tcp.More(t, 50)
	unix.More(t, 50)
	tcp.End(t, "tcp")
	unix.End(t, "unix")
	s.Signal(syscall.SIGTERM)
	s.Ends(2)
	if _, err := os.Lstat(file); err != nil {
		t.Errorf("the manager's file: %v", err)
	}
}
