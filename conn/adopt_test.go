package conn

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/sock"
)

func past() time.Time  { return time.Unix(1, 0) }
func later() time.Time { return time.Now().Add(time.Hour) }
func never() time.Time { return time.Time{} }

// adopted gives one end of a socket pair to a runtime and the other, as package
// net has it, to the test.
func adopted(t testing.TB, rt *Runtime, o Options, serve Serve) (*Conn, net.Conn) {
	t.Helper()
	fds, err := sock.Pair()
	if err != nil {
		t.Fatal(err)
	}
	nc := netConn(t, fds[1])
	c, err := rt.Adopt(fds[0], o, serve)
	if err != nil {
		t.Fatal(err)
	}
	return c, nc
}

// netConn makes a net.Conn of a descriptor.
func netConn(t testing.TB, fd int) net.Conn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "peer")
	defer f.Close()
	nc, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patient))
	return nc
}

func TestAdopt(t *testing.T) {
	rt := running(t, Config{})
	_, nc := adopted(t, rt, Options{}, echoes)
	mustAsk(t, nc, "hello")
}

// Whatever cannot be adopted is closed: it was the runtime's from the call on.
func TestAdoptRefuses(t *testing.T) {
	rt := running(t, Config{MaxConns: 1})
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fd, err := sock.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := rt.Adopt(fd, Options{}, echoes); c != nil || err == nil {
		t.Errorf("a plain file was adopted: %v", err)
	}
	if _, err := rt.Adopt(-1, Options{}, echoes); err == nil {
		t.Error("-1 was adopted")
	}
	adopted(t, rt, Options{}, echoes)
	fds, err := sock.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close(fds[1])
	if _, err := rt.Adopt(fds[0], Options{}, echoes); !errors.Is(err, ErrLimit) {
		t.Errorf("above MaxConns: %v", err)
	}
	rt.Close()
	if fds, err = sock.Pair(); err != nil {
		t.Fatal(err)
	}
	defer sock.Close(fds[1])
	if _, err := rt.Adopt(fds[0], Options{}, echoes); !errors.Is(err, ErrShutdown) && !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// Detach gives the descriptor to somebody else, who goes on with it.
func TestDetachAndAdoptElsewhere(t *testing.T) {
	first, second := running(t, Config{Loops: 1}), running(t, Config{Loops: 1})
	moved := make(chan error, 1)
	_, nc := adopted(t, first, Options{}, func(*Conn) Handler {
		return funcs{data: func(c *Conn) error {
			c.Discard(1)
			fd, left, err := c.Detach()
			if err == nil && string(left) != "ello" {
				err = errors.New("left " + string(left))
			}
			go func() {
				if err == nil {
					_, err = second.Adopt(fd, Options{}, func(c *Conn) Handler { c.Write(left); return funcs{} })
				}
				moved <- err
			}()
			return nil
		}, closed: func(c *Conn, err error) { t.Errorf("Closed after Detach: %v", err) }}
	})
	if _, err := nc.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, "the move", moved); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 4)
	if _, err := nc.Read(p); err != nil || string(p) != "ello" {
		t.Fatalf("%q, %v", p, err)
	}
	mustAsk(t, nc, "second")
	turnAll(t, first)
	if n := first.Stats().Loops[0].Stale; n != 0 {
		t.Errorf("the first runtime has heard %d times of what it gave away", n)
	}
	if a, b := first.Stats().Conns, second.Stats().Conns; a != 0 || b != 1 {
		t.Errorf("connections: %d and %d, want 0 and 1", a, b)
	}
}

// turnAll returns when each loop has looked at its poller and counted what it
// found: a loop counts at the end of a turn, so it is the turn before the second
// function's that is sure to be counted.
func turnAll(t testing.TB, rt *Runtime) {
	t.Helper()
	for range 2 {
		for _, l := range rt.all {
			done := make(chan struct{})
			if err := l.send(task{run: func() { close(done) }}, 0); err != nil {
				t.Fatal(err)
			}
			receive(t, "a turn", done)
		}
	}
}

// A socket that another process holds open too: when our connection has ended,
// the kernel tells us nothing more about it.
func TestAdoptShared(t *testing.T) {
	for name, serve := range map[string]Serve{
		"callback": func(c *Conn) Handler { c.Close(); return funcs{} },
		"blocking": func(c *Conn) Handler { go c.Block().Close(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			rt := running(t, Config{Loops: 1})
			fds, err := sock.Pair()
			if err != nil {
				t.Fatal(err)
			}
			defer sock.Close(fds[1])
			other, err := sock.Dup(fds[0])
			if err != nil {
				t.Fatal(err)
			}
			defer sock.Close(other)
			if _, err := rt.Adopt(fds[0], Options{}, serve); err != nil {
				t.Fatal(err)
			}
			soon(t, "the end", func() bool { return rt.Stats().Conns == 0 })
			turnAll(t, rt)
			before := rt.Stats().Loops[0].Events
			say(t, fds[1], []byte("for the other process"))
			turnAll(t, rt)
			if n := rt.Stats().Loops[0].Events - before; n != 0 {
				t.Errorf("told %d times", n)
			}
			if p, _ := hear(other); string(p) != "for the other process" {
				t.Errorf("the other process heard %q", p)
			}
		})
	}
}
