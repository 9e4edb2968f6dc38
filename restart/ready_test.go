package restart

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/await"
)

// TestTellsTheManager: systemd is told once, and with the number of the process that
// it has to watch now; a process serves also when it cannot be told.
func TestTellsTheManager(t *testing.T) {
	path := t.TempDir() + "/notify"
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	manager.SetReadDeadline(time.Now().Add(await.Patience))
	t.Setenv("NOTIFY_SOCKET", path)
	s, err := Begin(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Ready(); err != nil {
			t.Fatal(err)
		}
	}
	heard := make([]byte, 100)
	n, err := manager.Read(heard)
	if want := fmt.Sprintf("READY=1\nMAINPID=%d", os.Getpid()); err != nil || string(heard[:n]) != want {
		t.Errorf("the manager heard %q, %v", heard[:n], err)
	}
	manager.SetReadDeadline(time.Unix(1, 0))
	if n, err := manager.Read(heard); err == nil {
		t.Errorf("and then %q", heard[:n])
	}

	t.Setenv("NOTIFY_SOCKET", path+"-gone")
	s, err = Begin(Config{Path: "/there/is/no/such/program"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(); err == nil {
		t.Error("it was told")
	}
	if err := s.Restart(t.Context()); !os.IsNotExist(err) {
		t.Errorf("it is not ready: %v", err)
	}
}

// TestManagerHangs: one that reads nothing does not keep a process from serving.
func TestManagerHangs(t *testing.T) {
	path := t.TempDir() + "/notify"
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	for range 10_000 { // until its queue is full: the system's limit is some hundred
		if err = tellManager(path, "READY=1", 50*time.Millisecond); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.ENOBUFS) { // the latter on BSDs, at once
		t.Error(err)
	}
}

// TestPredecessorIsGone: who cannot say to anybody that he serves, serves.
func TestPredecessorIsGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	s, err := Begin(Config{})
	if err != nil {
		t.Fatal(err)
	}
	s.parent = w
	if err := s.Ready(); err != nil || s.parent != nil {
		t.Errorf("%v", err)
	}
}
