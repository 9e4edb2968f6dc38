package restart_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load is clients that ask until they are told to stop. What goes wrong is told by
// stop: nothing may.
type load struct {
	stop  chan struct{}
	wg    sync.WaitGroup
	asked atomic.Uint64
	wrong chan error
}

func ask(clients int, request func(n int) error) *load {
	l := &load{stop: make(chan struct{}), wrong: make(chan error, clients)}
	for i := range clients {
		l.wg.Go(func() {
			for n := i; ; n += clients {
				select {
				case <-l.stop:
					return
				default:
				}
				if err := request(n); err != nil {
					l.wrong <- err
					return
				}
				l.asked.Add(1)
			}
		})
	}
	return l
}

// more waits until n more requests have been answered.
func (l *load) more(t *testing.T, n uint64) {
	t.Helper()
	late := time.Now().Add(patience)
	for until := l.asked.Load() + n; l.asked.Load() < until; {
		select {
		case err := <-l.wrong:
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(late) {
			t.Fatal("the clients do not get on")
		}
	}
}

func (l *load) end(t *testing.T, what string) {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	close(l.wrong)
	for err := range l.wrong {
		t.Errorf("%s: %v", what, err)
	}
	t.Logf("%s: %d requests", what, l.asked.Load())
}

// once connects, asks, and closes.
func once(network, address string) func(n int) error {
	return func(n int) error {
		c, err := net.Dial(network, address)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
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
		all[i] = http.Client{Transport: tr, Timeout: patience}
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
	loads := map[string]*load{
		"tcp, a connection each":          ask(4, once("tcp", s.echo)),
		"unix, a connection each":         ask(2, once("unix", s.file)),
		"http, kept alive":                ask(4, get(t, 4, s.web)),
		"http on package net, kept alive": ask(2, get(t, 2, s.std)),
	}
	for i := range restarts {
		for _, l := range loads {
			l.more(t, between)
		}
		old, sig := s.pid, []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR2}[i%2]
		s.signal(sig)
		s.serves()
		if s.pid == old || s.generation != i+1 {
			t.Fatalf("process %d after %d, generation %d", s.pid, old, s.generation)
		}
	}
	for what, l := range loads {
		l.more(t, between)
		l.end(t, what)
	}
	s.signal(syscall.SIGTERM)
	s.ends(restarts + 1)
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
			tcp := ask(2, once("tcp", s.echo))
			file := ask(2, once("unix", s.file))
			for range 2 {
				s.signal(syscall.SIGHUP)
				if got := s.says("restarted"); got != test.want {
					t.Errorf("%q, want %q", got, test.want)
				}
				tcp.more(t, 20)
				file.more(t, 20)
			}
			tcp.end(t, "tcp")
			file.end(t, "unix")
			s.signal(syscall.SIGTERM)
			s.ends(1)
		})
	}
}

// TestOneAtATime: while a successor is being started another one is refused, and a
// program that is told to end does not wait for it.
func TestOneAtATime(t *testing.T) {
	s := begin(t, "RESTART_NEXT=wait")
	s.signal(syscall.SIGHUP)
	pid, _ := strconv.Atoi(s.says("waiting"))
	s.signal(syscall.SIGHUP)
	if got := s.says("restarted"); got != "restart: a successor is being started" {
		t.Errorf("%q", got)
	}
	s.signal(syscall.SIGTERM)
	if got := s.says("restarted"); got != "context canceled" {
		t.Errorf("%q", got)
	}
	s.ends(1)
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the successor is left: %v", err)
	}
}
