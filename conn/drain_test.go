package conn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/ports"
)

// TestConnectsDuringDrain connects a thousand times while the runtime shuts
// down: each peer is served whole or refused, none hangs, none gets half.
func TestConnectsDuringDrain(t *testing.T) {
	const peers, workers = 1000, 20
	rt := running(t, Config{Loops: 2})
	var answered, served, halfway atomic.Int64
	ln := listeningHeld(t, rt, ListenConfig{}, func(*Conn) Handler {
		return funcs{data: func(c *Conn) error {
			if c.Buffered() < len(question) {
				return nil
			}
			answered.Add(1)
			return echo(c)
		}}
	})
	at := ln.Addr()
	var all sync.WaitGroup
	problems := make(chan error, peers)
	midway := make(chan struct{})
	for range workers {
		all.Go(func() {
			for range peers / workers {
				ok, err := once(at)
				if err != nil {
					problems <- err
				}
				if ok {
					served.Add(1)
				}
				if halfway.Add(1) == peers/4 {
					close(midway)
				}
			}
		})
	}
	receive(t, "the first peers", midway)
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	if err := rt.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if n := rt.Stats().Conns; n != 0 {
		t.Errorf("Shutdown returned with %d connections", n)
	}
	within(t, "all peers", all.Wait)
	close(problems)
	for err := range problems {
		t.Error(err)
	}
	if served.Load() != answered.Load() || served.Load() < peers/4 {
		t.Errorf("%d were answered, %d heard it", answered.Load(), served.Load())
	}
	t.Logf("%d of %d served", served.Load(), peers)
}

const question = "a question of some length"

// once connects, asks, and reports whether it was served; an error is what may
// not happen.
func once(at Addr) (served bool, err error) {
	nc, err := net.Dial("tcp", at.String())
	if err != nil {
		if refused(err) {
			return false, nil
		}
		return false, err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patient))
	if _, err := io.WriteString(nc, question); err != nil {
		if refused(err) {
			return false, nil
		}
		return false, err
	}
	back, err := io.ReadAll(io.LimitReader(nc, int64(len(question))))
	switch {
	case string(back) == question:
		return true, nil
	case len(back) > 0:
		return false, fmt.Errorf("half an answer: %q, %v", back, err)
	case err == nil || refused(err):
		return false, nil
	}
	return false, err
}

// hearer is a handler that says when it was told to shut down.
type hearer struct {
	funcs
	told *int
}

func (h hearer) Shutdown(c *Conn) { *h.told++; c.Close() }

// TestShutdownReachesTheNextHandler: one that takes over from a handler which had
// nothing to finish, behind a proxy's header say, is told as if it had been there
// when Shutdown began; it would wait for its peer for ever.
func TestShutdownReachesTheNextHandler(t *testing.T) {
	for name, test := range map[string]struct {
		before bool // that it takes over before Shutdown begins
	}{"in time": {true}, "late": {false}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{})
			told := 0
			next := hearer{funcs{data: func(*Conn) error { return nil }}, &told}
			c, peer := r.pair(Options{}, func(*Conn) Handler {
				return funcs{data: func(c *Conn) error {
					if c.Buffered() < 2 {
						return nil
					}
					c.Discard(2)
					c.SetHandler(next)
					return nil
				}}
			})
			say(t, peer, []byte("a"))
			r.settle()
			if !test.before {
				r.step(r.l.startDrain)
				r.settle()
			}
			say(t, peer, []byte("b"))
			r.settle()
			if test.before {
				r.step(r.l.startDrain)
				r.settle()
			}
			if told != 1 || c.flags&(closing|gone) == 0 {
				t.Errorf("it was told %d times", told)
			}
		})
	}
}

// At its deadline Shutdown forces what is left, and says so.
func TestShutdownForces(t *testing.T) {
	rt := running(t, Config{Loops: 2})
	closed := make(chan error, 3)
	ln := listening(t, rt, func(*Conn) Handler {
		return funcs{data: func(c *Conn) error { return nil }, closed: func(_ *Conn, err error) { closed <- err }}
	})
	serve, owners := echoBlocking()
	blocking := listening(t, rt, serve)
	for range 3 {
		nc := dial(t, ln.Addr())
		if _, err := nc.Write([]byte("half a message")); err != nil {
			t.Fatal(err)
		}
	}
	mustAsk(t, dial(t, blocking.Addr()), "hello")
	soon(t, "the halves are there", func() bool { return rt.Stats().BudgetUsed >= 3*512 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	within(t, "Shutdown", func() {
		if err := rt.Shutdown(ctx); err != context.Canceled {
			t.Errorf("Shutdown: %v", err)
		}
	})
	for range 3 {
		if err := receive(t, "Closed", closed); err != ErrShutdown {
			t.Errorf("closed with %v", err)
		}
	}
	within(t, "the blocking face's owners", owners.Wait)
	if n := rt.Stats().Conns; n != 0 {
		t.Errorf("%d connections left", n)
	}
}

// After Shutdown has begun nobody comes in by any way.
func TestNothingOpensDuringShutdown(t *testing.T) {
	rt := running(t, Config{Loops: 2})
	ln := listeningHeld(t, rt, ListenConfig{}, echoes)
	other := running(t, Config{})
	far := listening(t, other, echoes)
	if err := rt.Shutdown(soonest(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); !refused(err) {
		t.Errorf("connect: %v", err)
	}
	if _, err := rt.Listen(loopback, echoes); !errors.Is(err, ErrShutdown) {
		t.Errorf("Listen: %v", err)
	}
	if _, err := rt.Dial(soonest(t), far.Addr(), echoes); !errors.Is(err, ErrShutdown) {
		t.Errorf("Dial: %v", err)
	}
	if err := rt.Shutdown(soonest(t)); err != nil {
		t.Errorf("Shutdown again: %v", err)
	}
}

// Close and Shutdown may be called by anybody, at any time, together.
func TestCloseFromEverywhere(t *testing.T) {
	for range 8 {
		rt := running(t, Config{Loops: 2})
		ln := listening(t, rt, func(*Conn) Handler { return funcs{} })
		serve, owners := echoBlocking()
		second := listening(t, rt, serve)
		var peers sync.WaitGroup
		for i := range 6 {
			nc := dial(t, []*Listener{ln, second}[i%2].Addr())
			mustAsk(t, nc, "hello")
			// Wrapped, or package net splices through pipes that it keeps.
			peers.Go(func() { io.Copy(struct{ io.Writer }{nc}, struct{ io.Reader }{nc}) })
		}
		var calls []func()
		for i := range 4 {
			calls = append(calls, func() { rt.Close() }, func() { rt.Shutdown(soonest(t)) }, func() { ln.Close() },
				func() { rt.Stats() }, func() { rt.Dial(soonest(t), ln.Addr(), echoes) }, func() {
					if l, err := rt.Listen(loopback, echoes); err == nil && i%2 == 0 {
						l.Close()
					}
				})
		}
		together(t, calls)
		within(t, "the owners", owners.Wait)
		within(t, "the peers", peers.Wait)
	}
}

// Closing a connection or a listener in whatever callback is fine.
func TestCloseInCallbacks(t *testing.T) {
	rt := running(t, Config{Loops: 1})
	closed := make(chan error, 1)
	var ln *Listener
	ready := make(chan struct{})
	ln = listeningHeld(t, rt, ListenConfig{}, func(c *Conn) Handler {
		<-ready
		ln.Close()
		return funcs{data: func(c *Conn) error { c.Close(); c.Abort(); return nil }, closed: func(c *Conn, err error) {
			c.Close()
			c.CloseWith(io.ErrNoProgress)
			closed <- err
		}}
	})
	close(ready)
	nc := dial(t, ln.Addr())
	if _, err := nc.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, "Closed", closed); err != ErrClosed {
		t.Errorf("closed with %v", err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); !refused(err) {
		t.Errorf("connect after Close: %v", err)
	}
}

// holdsTheLoop is what the watchdog must name.
func holdsTheLoop(until chan struct{}) { <-until }

// TestWatchdog has a handler that blocks. It is named while it does, its
// listener's other loop goes on, and so does its own when it has returned.
func TestWatchdog(t *testing.T) {
	slow := make(chan SlowCallback, 10)
	rt := running(t, Config{Loops: 2, SlowCallback: 20 * time.Millisecond,
		Trace: &Trace{Slow: func(s SlowCallback) { slow <- s }}})
	release := make(chan struct{})
	conns := make(chan *Conn, 2)
	ln := listening(t, rt, func(c *Conn) Handler {
		conns <- c
		return funcs{data: func(c *Conn) error {
			if string(c.Peek()) == "block" {
				holdsTheLoop(release)
			}
			return echo(c)
		}}
	})
	first, second := dial(t, ln.Addr()), dial(t, ln.Addr())
	blocked := receive(t, "the first", conns)
	receive(t, "the second", conns)
	if _, err := io.WriteString(first, "block"); err != nil {
		t.Fatal(err)
	}
	s := receive(t, "the watchdog", slow)
	if s.Loop != blocked.Loop() || s.ID != blocked.ID() || s.Running < 20*time.Millisecond {
		t.Errorf("loop %d, connection %x, %v; want loop %d, connection %x", s.Loop, s.ID, s.Running, blocked.Loop(), blocked.ID())
	}
	if !strings.Contains(s.Stack, "holdsTheLoop") {
		t.Errorf("the stack does not name the function:\n%s", s.Stack)
	}
	mustAsk(t, second, "the other loop goes on")
	close(release)
	back := make([]byte, 5)
	if _, err := io.ReadFull(first, back); err != nil {
		t.Fatal(err)
	}
	mustAsk(t, first, "and so does this one")
	if n := rt.Stats().SlowCallbacks; n != 1 {
		t.Errorf("%d slow callbacks were counted", n)
	}
}

// Posted functions of no connection are named without an ID.
func TestWatchdogPosted(t *testing.T) {
	slow := make(chan SlowCallback, 10)
	rt := running(t, Config{Loops: 1, SlowCallback: 10 * time.Millisecond,
		Trace: &Trace{Slow: func(s SlowCallback) { slow <- s }}})
	release := make(chan struct{})
	err := Dialer{}.Start(soonest(t), rt, refusing(t), echoes, func(error) { holdsTheLoop(release) })
	if err != nil {
		t.Fatal(err)
	}
	s := receive(t, "the watchdog", slow)
	if s.ID != 0 || !strings.Contains(s.Stack, "holdsTheLoop") {
		t.Errorf("%+v", s)
	}
	close(release)
}

// refusing is an address where nobody listens until the test ends.
func refusing(t testing.TB) Addr {
	t.Helper()
	return TCP(ports.Hold(t))
}

// listeningHeld listens where nobody else will when the listener has closed.
func listeningHeld(t testing.TB, rt *Runtime, lc ListenConfig, serve Serve) *Listener {
	t.Helper()
	ln, err := lc.Listen(rt, refusing(t), serve)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// A pool of the runtime's own is made at the first Go, and ended with it.
func TestGo(t *testing.T) {
	rt := running(t, Config{Loops: 1, PoolSize: 2})
	busy := make(chan error, 3)
	release := make(chan struct{})
	ln := listening(t, rt, func(*Conn) Handler {
		return funcs{data: func(c *Conn) error {
			c.Discard(c.Buffered())
			for range 3 {
				busy <- c.Go(func() { <-release }, func() { c.Write([]byte("done")) })
			}
			return nil
		}}
	})
	nc := dial(t, ln.Addr())
	if _, err := nc.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := receive(t, "Go", busy); (err != nil) != (i == 2) || i == 2 && err != ErrBusy {
			t.Errorf("Go %d: %v", i, err)
		}
	}
	close(release)
	p := make([]byte, 8)
	if _, err := io.ReadFull(nc, p); err != nil || string(p) != "donedone" {
		t.Errorf("%q, %v", p, err)
	}
	soon(t, "nothing works", func() bool { return rt.Stats().Working == 0 })
	if n := rt.Stats().PoolBusy; n != 1 {
		t.Errorf("%d refusals", n)
	}
}
