package redis_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/redis"
)

// patience bounds waits that end soon unless something is broken.
const patience = 30 * time.Second

var bg = context.Background()

// server is a redis-server of our own. What it has acknowledged is on the disk.
type server struct {
	addr, dir, socket string
	args              []string
	process           *exec.Cmd
	said              transcript
	exited            chan struct{}
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

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// startServer starts one on a free port of this machine. It is killed when the
// test ends.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed (Debian: apt-get install redis-server)")
	}
	// The port may be taken between our Close and its bind: try again then.
	for range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ok(t, err)
		dir := t.TempDir()
		s := &server{addr: l.Addr().String(), dir: dir, socket: filepath.Join(dir, "socket"), args: args}
		l.Close()
		if s.start(t) {
			t.Cleanup(func() { s.kill() })
			return s
		}
		t.Logf("redis-server ended: %s", s.said.String())
	}
	t.Fatal("redis-server does not start")
	return nil
}

// start returns true when the server answers, false when it has ended.
func (s *server) start(t testing.TB) (up bool) {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	args := []string{"--bind", "127.0.0.1", "--port", port, "--unixsocket", s.socket, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--dir", s.dir, "--repl-diskless-sync-delay", "0"}
	s.process = exec.Command("redis-server", append(args, s.args...)...)
	s.process.Stdout, s.process.Stderr = &s.said, &s.said
	ok(t, s.process.Start())
	s.exited = make(chan struct{})
	go func() { s.process.Wait(); close(s.exited) }()
	until(t, "redis-server answers or ends", func() bool {
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

func (s *server) answers() bool {
	c, err := net.Dial("tcp", s.addr)
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

// kill ends it as a crash would.
func (s *server) kill() {
	s.process.Process.Kill()
	<-s.exited
}

// stop freezes it, resume has it go on.
func (s *server) stop()   { s.process.Process.Signal(syscall.SIGSTOP) }
func (s *server) resume() { s.process.Process.Signal(syscall.SIGCONT) }

// do is a command by a client of its own.
func (s *server) do(t testing.TB, args ...any) any {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: s.addr, DisableIdentity: true})
	defer c.Close()
	v, err := c.Do(bg, args...).Result()
	ok(t, err)
	return v
}

// calls is a count from INFO: of "cmdstat_eval:calls=3,usec=...".
func (s *server) calls(t testing.TB, command string) (n int) {
	t.Helper()
	for l := range strings.Lines(s.do(t, "INFO", "commandstats").(string)) {
		if rest, found := strings.CutPrefix(l, "cmdstat_"+command+":calls="); found {
			fmt.Sscan(strings.Split(rest, ",")[0], &n)
		}
	}
	return n
}

func runtime(t testing.TB) *conn.Runtime {
	t.Helper()
	rt, err := conn.Start(conn.Config{})
	ok(t, err)
	t.Cleanup(func() { rt.Close() })
	return rt
}

// open opens a Store on addr with a runtime of its own.
func open(t testing.TB, addr string, cfg redis.Config) *redis.Store {
	t.Helper()
	if cfg.Runtime == nil {
		cfg.Runtime = runtime(t)
	}
	cfg.Addrs = []string{addr}
	ctx, cancel := context.WithTimeout(bg, patience)
	defer cancel()
	s, err := redis.Open(ctx, cfg)
	ok(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func check(t testing.TB, ok bool, what string, got any) {
	t.Helper()
	if !ok {
		t.Errorf("%s: %+v", what, got)
	}
}

// until waits for something that nothing signals.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatal("never happened: " + what)
		}
		<-time.After(2 * time.Millisecond)
	}
}
