// Package redistest starts redis-servers for tests.
package redistest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/ports"
)

// Server is a redis-server of a test's own, without snapshots.
type Server struct {
	Addr   string // host:port on this machine
	Socket string // path
	Dir    string // where it keeps its files

	args    []string
	said    transcript
	process *exec.Cmd
	exited  chan struct{}
}

// transcript is what a process has said so far.
type transcript struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(b)
}

// Start starts one on a free port, with further arguments. It is killed when the
// test ends. The test is skipped when redis-server is not installed.
//
// The port is its own until then, also while it is killed and before it is
// started again.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed (Debian: apt-get install redis-server)")
	}
	for range 20 {
		addr, held := reserve()
		if held == nil {
			continue
		}
		t.Cleanup(held)
		dir := t.TempDir()
		s := &Server{Addr: addr, Socket: filepath.Join(dir, "socket"), Dir: dir, args: args}
		if s.Restart(t) {
			t.Cleanup(s.Kill)
			return s
		}
		t.Logf("redis-server ended: %s", s.Said())
	}
	t.Fatal("redis-server does not start")
	return nil
}

// reserve picks a port and holds it until free is called, and that of a cluster's
// bus, 10,000 above it. By default neither is one that Linux gives to those who
// ask for any. free is nil if somebody has one of them.
//
// Where nothing can be held, somebody who listens on the next port tells others
// who pick one.
func reserve() (addr string, free func()) {
	port := uint16(12_000 + 2*rand.IntN(4_000))
	mark, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port+1))
	if err != nil {
		return "", nil
	}
	held, err := ports.Bind(port)
	if err != nil {
		mark.Close()
		return "", nil
	}
	bus, err := ports.Bind(port + 10_000)
	if err != nil {
		held.Close()
		mark.Close()
		return "", nil
	}
	return held.Addr.String(), func() {
		bus.Close()
		held.Close()
		mark.Close()
	}
}

// Restart starts one that was killed, where it was, with its files. It returns
// true when the server answers, false when it has ended.
func (s *Server) Restart(t testing.TB) (up bool) {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--bind", "127.0.0.1", "--port", port, "--unixsocket", s.Socket, "--save", "", "--dir", s.Dir}
	s.process = exec.Command("redis-server", append(args, s.args...)...)
	s.process.Stdout, s.process.Stderr = &s.said, &s.said
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	s.exited = make(chan struct{})
	go func() { s.process.Wait(); close(s.exited) }()
	await.Until(t, "redis-server answers or ends", func() bool {
		select {
		case <-s.exited:
			return true
		default:
			up = s.answers()
			return up
		}
	})
	return up
}

func (s *Server) answers() bool {
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprint(c, "PING\r\n")
	answer := make([]byte, 7)
	_, err = io.ReadFull(c, answer)
	return err == nil && string(answer) == "+PONG\r\n"
}

// Said returns what it has written to its log so far.
func (s *Server) Said() string {
	s.said.mu.Lock()
	defer s.said.mu.Unlock()
	return s.said.b.String()
}

// Kill ends it as a crash would, and returns when it has ended. It may be called
// again.
func (s *Server) Kill() {
	s.process.Process.Kill()
	<-s.exited
}

// Stop freezes it: it neither answers nor refuses.
func (s *Server) Stop() { s.process.Process.Signal(syscall.SIGSTOP) }

// Resume has a frozen one go on.
func (s *Server) Resume() { s.process.Process.Signal(syscall.SIGCONT) }
