package conn

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// TestReuseStorm has many peers come and go, so that each descriptor's number is
// used again and again, while others talk on. What each of them sends bears its
// own number: a byte that reached another connection would be seen.
func TestReuseStorm(t *testing.T) {
	const guests, visits, residents = 12, 60, 6
	rt := running(t, Config{Loops: 2})
	serve, owners := echoBlocking()
	listeners := []*Listener{listening(t, rt, echoes), listening(t, rt, serve)}
	var id atomic.Uint64
	var all sync.WaitGroup
	var over atomic.Bool
	problems := make(chan error, guests+residents)
	for i := range guests {
		all.Go(func() {
			for visit := range visits {
				if err := call(listeners[(i+visit)%2], id.Add(1), 3, visit%3 == 0); err != nil {
					problems <- fmt.Errorf("guest: %w", err)
					return
				}
			}
		})
	}
	var stay sync.WaitGroup
	for i := range residents {
		stay.Go(func() {
			if err := reside(listeners[i%2], id.Add(1), &over); err != nil {
				problems <- fmt.Errorf("resident: %w", err)
			}
		})
	}
	within(t, "all guests", all.Wait)
	over.Store(true)
	within(t, "all residents", stay.Wait)
	within(t, "the blocking face's owners", owners.Wait)
	close(problems)
	for err := range problems {
		t.Error(err)
	}
	soon(t, "all connections have ended", func() bool { return rt.Stats().Conns == 0 })
	s := rt.Stats()
	if s.Opened != guests*visits+residents || s.Closed != s.Opened || s.Accepted != s.Opened {
		t.Errorf("opened %d, closed %d, accepted %d, want %d", s.Opened, s.Closed, s.Accepted, guests*visits+residents)
	}
	// A loop drops a connection only between two looks at the kernel's list, or
	// because of its own event, so that events of one that has left are rare:
	// see testdata/stale.txt for how they come about.
	for i, l := range s.Loops {
		t.Logf("loop %d: %d turns, %d events, %d stale", i, l.Turns, l.Events, l.Stale)
	}
}

// call is a short visit: some messages, and sometimes no good-bye.
func call(ln *Listener, id uint64, messages int, rude bool) error {
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		return err
	}
	defer nc.Close()
	for n := range messages {
		if err := exchange(nc, id, n); err != nil {
			return err
		}
	}
	if rude {
		nc.(*net.TCPConn).SetLinger(0)
	}
	return nil
}

func reside(ln *Listener, id uint64, over *atomic.Bool) error {
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		return err
	}
	defer nc.Close()
	for n := 0; !over.Load(); n++ {
		if err := exchange(nc, id, n); err != nil {
			return err
		}
	}
	return nil
}

// exchange sends a message all of whose words name its sender and wants it
// back.
func exchange(nc net.Conn, id uint64, n int) error {
	p := make([]byte, 8*(1+(int(id)+n*37)%200))
	for i := 0; i < len(p); i += 8 {
		binary.BigEndian.PutUint64(p[i:], id<<32|uint64(n))
	}
	if _, err := nc.Write(p); err != nil {
		return err
	}
	q := make([]byte, len(p))
	if _, err := io.ReadFull(nc, q); err != nil {
		return err
	}
	for i := 0; i < len(q); i += 8 {
		if got := binary.BigEndian.Uint64(q[i:]); got != id<<32|uint64(n) {
			return fmt.Errorf("%d read a word of %d (its message %d)", id, got>>32, uint32(got))
		}
	}
	return nil
}

// TestEverythingAtOnce calls everything that may be called from any goroutine
// at the same time as the connection ends: nothing crashes or hangs, Closed is
// called once, descriptors are closed once.
func TestEverythingAtOnce(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 20
	}
	rt := running(t, Config{Loops: 2})
	for round := range rounds {
		closed := make(chan error, 2)
		var late atomic.Int32
		c, nc := adopted(t, rt, Options{HighWater: 4096}, func(*Conn) Handler {
			return funcs{
				data:   func(c *Conn) error { late.Add(1); return echo(c) },
				closed: func(c *Conn, err error) { late.Store(-1 << 20); closed <- err },
			}
		})
		shared := NewShared(make([]byte, 300), nil)
		ends := []func(){
			func() { c.Close() }, func() { c.Abort() }, func() { c.CloseWith(io.ErrNoProgress) },
			func() { nc.Close() }, func() { c.CloseWrite(); nc.Close() }, func() { c.Post(func(c *Conn) { panic("now") }) },
		}
		calls := []func(){
			func() { c.Write(make([]byte, 700)) }, func() { c.Append(make([]byte, 70)) },
			func() { c.Writev(make([]byte, 10), make([]byte, 10)) },
			func() { c.WriteShared(shared) }, func() { c.AppendShared(shared) },
			func() { c.Pause(); c.Resume() }, func() { c.Post(func(c *Conn) { c.Write([]byte("x")) }) },
			func() { c.Control(func(uintptr) {}); c.Local(); c.Remote(); c.Pending(); c.Room() },
			func() { nc.Write(make([]byte, 100)) }, func() { c.CloseRead() },
			ends[round%len(ends)], ends[(round/7)%len(ends)],
		}
		together(t, calls)
		nc.Close()
		receive(t, "Closed", closed)
		shared.Release()
		if late.Load() > 0 {
			t.Fatal("Data after Closed")
		}
		select {
		case <-closed:
			t.Fatal("Closed was called twice")
		default:
		}
	}
}

// TestBlockingEverythingAtOnce does the same on the blocking face.
func TestBlockingEverythingAtOnce(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 20
	}
	rt := running(t, Config{Loops: 2})
	for round := range rounds {
		var b *Blocking
		c, nc := adopted(t, rt, Options{}, func(c *Conn) Handler { b = c.Block(); return nil })
		ends := []func(){
			func() { b.Close() }, func() { b.Abort() }, func() { c.CloseWith(nil) }, func() { b.Close(); b.Close() },
		}
		calls := []func(){
			func() { b.Read(make([]byte, 10)) }, func() { b.WaitRead() }, func() { b.Write(make([]byte, 300<<10)) },
			func() { b.Writev([][]byte{make([]byte, 10), make([]byte, 100)}) },
			func() { b.SetDeadline(later()); b.SetReadDeadline(past()); b.SetReadDeadline(never()) },
			func() { b.SetWriteDeadline(later()); b.SetWriteDeadline(never()) },
			func() { b.Unread([]byte("x")) }, func() { b.Control(func(uintptr) {}); b.Local(); b.Remote() },
			func() { b.RawRead(func(uintptr) bool { return false }) }, func() { b.CloseRead(); b.CloseWrite() },
			func() { c.Write([]byte("refused")); c.Close(); c.Post(func(*Conn) {}) },
			func() { nc.Write(make([]byte, 100)) }, ends[round%len(ends)], ends[(round/5)%len(ends)],
		}
		if round%3 == 0 {
			calls = append(calls, func() { b.Callback(funcs{closed: func(*Conn, error) {}}) })
			calls = append(calls, func() { c.CloseWith(nil) })
		}
		together(t, calls)
		nc.Close()
		b.Close()
		c.CloseWith(nil)
	}
	soon(t, "all connections have ended", func() bool { return rt.Stats().Conns == 0 })
}

// together starts all of calls at once and waits for them.
func together(t testing.TB, calls []func()) {
	t.Helper()
	start := make(chan struct{})
	var all sync.WaitGroup
	for _, f := range calls {
		all.Go(func() { <-start; f() })
	}
	close(start)
	within(t, "all calls return", all.Wait)
}
