package interop_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// redisServer is a redis-server of our own, without persistence.
type redisServer struct {
	addr, socket string
	process      *exec.Cmd
	said         bytes.Buffer
	exited       chan struct{}
}

// startRedis starts one on a free port of this machine. It is killed when the
// test ends.
func startRedis(t testing.TB) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed (Debian: apt-get install redis-server)")
	}
	// The port may be taken between our Close and its bind: try again then.
	for range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ok(t, err)
		r := &redisServer{addr: l.Addr().String(), socket: filepath.Join(t.TempDir(), "redis")}
		l.Close()
		if r.start(t) {
			t.Cleanup(r.kill)
			return r
		}
		t.Logf("redis-server ended: %s", r.said.String())
	}
	t.Fatal("redis-server does not start")
	return nil
}

// start returns true when the server answers, false when it has ended.
func (r *redisServer) start(t testing.TB) (up bool) {
	t.Helper()
	_, port, _ := net.SplitHostPort(r.addr)
	r.process = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port,
		"--unixsocket", r.socket, "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	r.process.Stdout, r.process.Stderr = &r.said, &r.said
	ok(t, r.process.Start())
	r.exited = make(chan struct{})
	go func() { r.process.Wait(); close(r.exited) }()
	until(t, "redis-server answers or ends", func() bool {
		select {
		case <-r.exited:
			return true
		default:
			up = r.answers()
			return up
		}
	})
	return up
}

func (r *redisServer) answers() bool {
	c, err := net.Dial("tcp", r.addr)
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
func (r *redisServer) kill() {
	r.process.Process.Kill()
	<-r.exited
}
