package conn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/ports"
	"github.com/weir-go/weir/internal/sock"
)

func TestDial(t *testing.T) {
	rt := running(t, Config{Loops: 3})
	ln := listening(t, rt, echoes)
	for loop := range 4 { // 0: whichever
		heard := make(chan string, 1)
		c, err := Dialer{Loop: loop}.Dial(soonest(t), rt, ln.Addr(), func(c *Conn) Handler {
			return funcs{data: func(c *Conn) error {
				heard <- string(c.Peek())
				c.Discard(c.Buffered())
				return nil
			}}
		})
		if err != nil {
			t.Fatal(err)
		}
		if loop > 0 && c.Loop() != loop-1 {
			t.Errorf("on loop %d, want %d", c.Loop(), loop-1)
		}
		if c.Remote() != ln.Addr() || !c.Local().IP.IsValid() {
			t.Errorf("from %v to %v", c.Local(), c.Remote())
		}
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, "the echo", heard); got != "hello" {
			t.Errorf("heard %q", got)
		}
	}
	soon(t, "the counter", func() bool { return rt.Stats().Dialed == 4 })
}

func TestDialRefused(t *testing.T) {
	rt := running(t, Config{})
	for _, at := range []Addr{refusing(t), Unix(t.TempDir() + "/nobody")} {
		c, err := rt.Dial(soonest(t), at, echoes)
		if c != nil || !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOENT) {
			t.Errorf("%v: %v, %v", at, c, err)
		}
	}
	if n := rt.Stats().Conns; n != 0 {
		t.Errorf("%d connections are counted", n)
	}
}

// A Serve that refuses what it has dialed.
func TestDialUnwanted(t *testing.T) {
	rt := running(t, Config{})
	ln := listening(t, rt, echoes)
	if _, err := rt.Dial(soonest(t), ln.Addr(), func(*Conn) Handler { return nil }); err != nil {
		t.Error(err)
	}
	if _, err := rt.Dial(soonest(t), ln.Addr(), func(*Conn) Handler { panic("no") }); err != nil {
		t.Error(err)
	}
	soon(t, "both are closed", func() bool { return rt.Stats().Conns == 0 })
}

// crowded is an address where a connect gets no answer: its queue is full.
func crowded(t *testing.T) Addr {
	t.Helper()
	fd, err := sock.Listen(sock.Addr(loopback), sock.ListenConfig{Backlog: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sock.Close(fd) })
	at, err := sock.LocalAddr(fd)
	if err != nil {
		t.Fatal(err)
	}
	for range 64 {
		s, err := sock.Socket(at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sock.Close(s) })
		sock.Connect(s, at)
		// On loopback a connect that has not succeeded when the call returns
		// has found the queue full, and will try again in a second.
		if sock.ConnectResult(s) == sock.ErrInProgress {
			return Addr(at)
		}
	}
	t.Skip("this system's queue does not fill up")
	return Addr{}
}

func TestDialCancelled(t *testing.T) {
	rt := running(t, Config{})
	at := crowded(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("changed my mind")
	result := make(chan error, 1)
	go func() { _, err := rt.Dial(ctx, at, echoes); result <- err }()
	soon(t, "the dial is under way", func() bool { return rt.Stats().Conns == 1 })
	cancel(reason)
	if err := receive(t, "Dial", result); err != reason {
		t.Errorf("cancelled with %v", err)
	}
	if _, err := rt.Dial(ctx, at, echoes); err == nil {
		t.Error("dialed with a context that had ended")
	}
	soon(t, "nothing is counted", func() bool { return rt.Stats().Conns == 0 })
}

func TestDialDeadline(t *testing.T) {
	rt := running(t, Config{})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := rt.Dial(ctx, crowded(t), echoes); err != context.DeadlineExceeded {
		t.Error(err)
	}
}

// Shutdown and Close end dials that are under way.
func TestDialDuringShutdown(t *testing.T) {
	for name, end := range map[string]func(*Runtime) error{
		"shutdown": func(rt *Runtime) error { return rt.Shutdown(context.Background()) },
		"close":    (*Runtime).Close,
	} {
		t.Run(name, func(t *testing.T) {
			rt := running(t, Config{})
			at := crowded(t)
			result := make(chan error, 1)
			go func() { _, err := rt.Dial(context.Background(), at, echoes); result <- err }()
			soon(t, "the dial is under way", func() bool { return rt.Stats().Conns == 1 })
			if err := end(rt); err != nil {
				t.Error(err)
			}
			if err := receive(t, "Dial", result); !errors.Is(err, ErrShutdown) && !errors.Is(err, ErrClosed) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// A failed that panics in the middle of a shutdown keeps nobody from being told.
func TestShutdownBehindPanic(t *testing.T) {
	rt := running(t, Config{Loops: 1})
	at, ln := crowded(t), listening(t, rt, echoes)
	for range 3 {
		if err := (Dialer{}).Start(soonest(t), rt, at, echoes, func(error) { panic("boom") }); err != nil {
			t.Fatal(err)
		}
	}
	mustAsk(t, dial(t, ln.Addr()), "hello")
	if err := rt.Shutdown(soonest(t)); err != nil {
		t.Error(err)
	}
}

// TCP connects a socket to itself when it is asked to: that is nobody's server.
func TestDialSelf(t *testing.T) {
	rt := running(t, Config{})
	err := ports.Again(t, func(at netip.AddrPort) error {
		_, err := Dialer{Local: TCP(at)}.Dial(soonest(t), rt, TCP(at), echoes)
		return err
	})
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connected to itself: %v", err)
	}
}

func TestDialLocal(t *testing.T) {
	rt := running(t, Config{})
	ln := listening(t, rt, echoes)
	var c *Conn
	var from Addr
	err := ports.Again(t, func(at netip.AddrPort) (err error) {
		from = TCP(at)
		c, err = Dialer{Local: from}.Dial(soonest(t), rt, ln.Addr(), echoes)
		return err
	})
	if err != nil || c.Local() != from {
		t.Errorf("from %v, %v; want %v", c.Local(), err, from)
	}
	if _, err := (Dialer{Local: ln.Addr()}).Dial(soonest(t), rt, ln.Addr(), echoes); err == nil {
		t.Error("dialed from an address in use")
	}
}

// A proxy dials from a callback, where Dial must not be called.
func TestStartFromCallback(t *testing.T) {
	rt := running(t, Config{Loops: 2})
	back := listening(t, rt, echoes)
	pass := func(to *Conn) funcs {
		return funcs{
			data: func(c *Conn) error {
				n, err := to.Write(c.Peek())
				c.Discard(n)
				return err
			},
			closed: func(_ *Conn, err error) { to.CloseWith(err) },
		}
	}
	front := listening(t, rt, func(c *Conn) Handler {
		c.Pause()
		err := Dialer{}.Start(context.Background(), rt, back.Addr(), func(far *Conn) Handler {
			c.Post(func(c *Conn) { c.SetHandler(pass(far)); c.Resume() })
			return pass(c)
		}, func(err error) { c.CloseWith(err) })
		if err != nil {
			t.Error(err)
		}
		return funcs{}
	})
	nc := dial(t, front.Addr())
	mustAsk(t, nc, "through the proxy")
	nc.Close()
	soon(t, "both sides have ended", func() bool { return rt.Stats().Conns == 0 })
}

// Start calls serve or failed, once, or returns an error and calls neither.
func TestStartTellsOnce(t *testing.T) {
	rt := running(t, Config{Loops: 2, MaxConns: 4})
	ln := listening(t, rt, echoes)
	for _, at := range []Addr{ln.Addr(), refusing(t)} {
		for range 30 {
			ctx, cancel := context.WithCancel(context.Background())
			told := make(chan error, 2)
			err := Dialer{}.Start(ctx, rt, at, func(c *Conn) Handler { told <- nil; c.Abort(); return funcs{} },
				func(err error) { told <- err })
			cancel()
			if err == nil {
				receive(t, "word of the dial", told)
			} else if err != ErrLimit {
				t.Error(err)
			}
			soon(t, "it has ended", func() bool { return rt.Stats().Conns == 0 })
			if len(told) > 0 {
				t.Fatal("told twice")
			}
		}
	}
}

func TestUnixSockets(t *testing.T) {
	paths := []string{t.TempDir() + "/socket"}
	if dealsPorts { // Linux
		paths = append(paths, fmt.Sprint("@weir-conn-test-", os.Getpid()))
	}
	for _, path := range paths {
		t.Run(path[:1], func(t *testing.T) {
			rt := running(t, Config{Loops: 2})
			ln, err := ListenConfig{Balance: PerLoop}.Listen(rt, Unix(path), echoes)
			if err != nil {
				t.Fatal(err)
			}
			mustAsk(t, dial(t, ln.Addr()), "hello")
			c, err := rt.Dial(soonest(t), ln.Addr(), echoes)
			if err != nil || c.Remote() != ln.Addr() {
				t.Fatalf("to %v, %v", c.Remote(), err)
			}
			fd, err := ln.Dup()
			if err != nil {
				t.Fatal(err)
			}
			ln.Close()
			// The name lives on with the duplicate: a second listener has it.
			again, err := ListenConfig{}.Adopt(rt, fd, echoes)
			if err != nil {
				t.Fatal(err)
			}
			mustAsk(t, dial(t, again.Addr()), "hello")
			again.Close()
			if _, err := net.Dial("unix", path); err == nil {
				t.Error("somebody listens after Close")
			}
			if _, err := ln.Dup(); err != ErrClosed {
				t.Errorf("Dup after Close: %v", err)
			}
		})
	}
}

func TestIPv6(t *testing.T) {
	rt := running(t, Config{Loops: 2})
	at := TCP(netip.MustParseAddrPort("[::1]:0"))
	ln, err := rt.Listen(at, echoes)
	if err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	mustAsk(t, dial(t, ln.Addr()), "hello")
	c, err := rt.Dial(soonest(t), ln.Addr(), echoes)
	if err != nil || !c.Remote().IP.Addr().Is6() {
		t.Errorf("to %v, %v", c.Remote(), err)
	}
	both, err := rt.Listen(TCP(netip.MustParseAddrPort("[::]:0")), echoes)
	if err != nil {
		t.Fatal(err)
	}
	four := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), both.Addr().IP.Port())
	mustAsk(t, dial(t, TCP(four)), "hello")
	four = ports.Hold(t, "127.0.0.1", "::") // or another may listen there
	only := netip.AddrPortFrom(netip.IPv6Unspecified(), four.Port())
	if _, err := (ListenConfig{V6Only: true}).Listen(rt, TCP(only), echoes); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", four.String()); !refused(err) {
		t.Errorf("V6Only took IPv4: %v", err)
	}
}

// A listener that was closed hears nothing more, though a duplicate of its
// socket lives on and has connections to accept.
func TestDupOutlivesListener(t *testing.T) {
	rt := running(t, Config{Loops: 2})
	ln := listening(t, rt, echoes)
	fd, err := ln.Dup()
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close(fd)
	at := ln.Addr()
	ln.Close()
	before := rt.Stats()
	nc := dial(t, at)
	var s int
	soon(t, "the connection", func() bool {
		var errno syscall.Errno
		s, errno = sock.Accept(fd, nil)
		return errno == 0
	})
	sock.Close(s)
	if _, err := nc.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
	turnAll(t, rt)
	for i, l := range rt.Stats().Loops {
		if l.Stale != before.Loops[i].Stale {
			t.Errorf("loop %d has heard of it", i)
		}
	}
}

func TestListenRefused(t *testing.T) {
	rt := running(t, Config{Loops: 2})
	ln := listening(t, rt, echoes)
	for _, b := range []Balance{RoundRobin, PerLoop} {
		if l, err := (ListenConfig{Balance: b}).Listen(rt, ln.Addr(), echoes); !errors.Is(err, syscall.EADDRINUSE) || l != nil {
			t.Errorf("a second listener: %v, %v", l, err)
		}
	}
	fds, err := sock.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close(fds[1])
	if _, err := (ListenConfig{}).Adopt(rt, fds[0], echoes); err == nil {
		t.Error("listens on a socket that does not")
	}
}
