package restart

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
)

// inheritor is a process that was given a Unix socket, and has opened it.
func inheritor(t *testing.T) (s *Sockets, file string) {
	t.Helper()
	at := conn.Unix(t.TempDir() + "/s")
	fd, _ := listening(t, at)
	s = &Sockets{inherited: []inherited{{name: "file", fd: fd, ours: true}}}
	s.idle.L = &s.mu
	rt, err := conn.Start(conn.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rt.Close() })
	serve := func(*conn.Conn) conn.Handler { return nil }
	if _, err := s.Listen(rt, "file", conn.ListenConfig{}, at, serve); err != nil {
		t.Fatal(err)
	}
	return s, at.Path
}

// TestFileOfAPredecessor: a process that ends before it is ready leaves the file
// alone, for its predecessor serves there; one that was ready removes it.
func TestFileOfAPredecessor(t *testing.T) {
	for _, ready := range []bool{false, true} {
		s, file := inheritor(t)
		if ready {
			if err := s.Ready(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(file); errors.Is(err, os.ErrNotExist) != ready {
			t.Errorf("ready %v: %v", ready, err)
		}
	}
}

// TestLastWords: a successor that gives up before it is ready ends in its own way,
// however long it takes after it has hung up, and is believed how.
func TestLastWords(t *testing.T) {
	said := t.TempDir() + "/said"
	s, err := Begin(Config{Path: "/bin/sh", Args: []string{"-c", "exec 3<&-; sleep 0.3; echo no >" + said + "; exit 5"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(); err != nil {
		t.Fatal(err)
	}
	err = s.Restart(t.Context())
	if !errors.Is(err, ErrDied) || !strings.HasSuffix(err.Error(), "exit status 5") {
		t.Error(err)
	}
	if text, _ := os.ReadFile(said); string(text) != "no\n" {
		t.Errorf("it has said %q", text)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestHungUp: but not for longer than Patience, nor when the program ends.
func TestHungUp(t *testing.T) {
	for name, test := range map[string]struct {
		patience time.Duration
		end      func(*Sockets) error
	}{
		"patience": {100 * time.Millisecond, nil},
		"close":    {time.Hour, (*Sockets).Close},
	} {
		hung := t.TempDir() + "/hung"
		if err := syscall.Mkfifo(hung, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Begin(Config{Patience: test.patience, Path: "/bin/sh", Args: []string{"-c", "exec 3<&-; echo >" + hung + "; exec sleep 1000"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Ready(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() { ended <- s.Restart(t.Context()) }()
		if test.end != nil {
			if _, err := os.ReadFile(hung); err != nil {
				t.Fatal(err)
			}
			if err := test.end(s); err != nil {
				t.Error(err)
			}
		}
		switch err := <-ended; { // the others are of who is told to end before it has hung up
		case strings.HasSuffix(err.Error(), "signal: killed"), err == ErrLate, err == ErrClosed:
		default:
			t.Errorf("%s: %v", name, err)
		}
	}
}
