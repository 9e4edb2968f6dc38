package main

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"time"
)

// redisServer is a redis-server of the benchmark's own. It keeps everything in memory: what a client costs is
// measured, not the server's disk.
type redisServer struct {
	addr, socket string
	process      *exec.Cmd
	ended        chan struct{}
}

var errRedisEnded = errors.New("redis-server has ended before it answered")

// startRedis starts one on a free port and a socket in dir, and returns when it answers. It chooses another port when
// somebody has that by then.
func startRedis(dir string) (s *redisServer, err error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, errors.New("this area needs redis-server (Debian: apt-get install redis-server)")
	}
	for range 10 {
		if s, err = tryRedis(dir); !errors.Is(err, errRedisEnded) {
			break
		}
	}
	return s, err
}

func tryRedis(dir string) (*redisServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &redisServer{addr: l.Addr().String(), socket: filepath.Join(dir, "redis"), ended: make(chan struct{})}
	l.Close()
	_, port, _ := net.SplitHostPort(s.addr)
	s.process = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--unixsocket", s.socket,
		"--save", "", "--appendonly", "no", "--dir", dir)
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.process.Wait()
		close(s.ended)
	}()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case <-s.ended:
			return nil, errRedisEnded
		default:
		}
		if c, err := net.Dial("unix", s.socket); err == nil {
			c.Close()
			return s, nil
		}
	}
	s.stop()
	return nil, fmt.Errorf("redis-server does not answer at %s", s.socket)
}

func (s *redisServer) stop() {
	s.process.Process.Kill()
	<-s.ended
}
