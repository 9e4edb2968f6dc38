package conn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// What Shutdown and the end of a Runtime do to those who linger.

// A quiet connection is not cut off by Shutdown while its output is on its way;
// an idle one does not hold Shutdown up.
func TestShutdownIsHeard(t *testing.T) {
	rt := running(t, Config{Loops: 2, CloseTimeout: patient})
	ln := listening(t, rt, echoes)
	idle, slow := dial(t, ln.Addr()), dial(t, ln.Addr()).(*net.TCPConn)
	mustAsk(t, idle, "hello")
	slow.SetReadBuffer(16 << 10)
	sent := make(chan error, 1)
	go func() {
		_, err := slow.Write(answer)
		sent <- err
	}()
	if err := receive(t, "the server takes everything", sent); err != nil {
		t.Fatal(err)
	}
	soon(t, "the server sends everything", func() bool {
		s := rt.Stats()
		return s.BytesWritten == uint64(len(answer)+len("hello")) && s.BudgetUsed == 0
	})
	done := make(chan error, 1)
	go func() { done <- rt.Shutdown(soonest(t)) }()
	if _, err := io.ReadAll(idle); err != nil {
		t.Errorf("the idle one: %v", err)
	}
	soon(t, "the other one lingers", func() bool { return rt.Stats().Lingering == 1 })
	if _, err := slow.Write([]byte("one more")); err != nil { // would make a closed socket reset
		t.Fatal(err)
	}
	if heard, err := io.ReadAll(slow); err != nil || !bytes.Equal(heard, answer) {
		t.Errorf("heard %d of %d bytes, %v", len(heard), len(answer), err)
	}
	slow.Close()
	if err := receive(t, "Shutdown", done); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// Shutdown leaves a connection that has just been written to alone until that
// is flushed, whoever wrote, and however quiet it was a moment before.
func TestShutdownSeesALateWrite(t *testing.T) {
	r := newRig(t, Config{})
	h, closed := closedWith()
	c, peer := r.pair(Options{}, func(*Conn) Handler { return h })
	r.settle()
	clog(t, c)
	c.Write([]byte("late"))
	r.step(func() { r.l.retire(c) }) // what lastLook ends with
	if c.flags&(closing|gone) != 0 || len(closed) > 0 {
		t.Fatal("it was ended with output pending")
	}
	hear(peer)
	r.until("the rest is sent", func() bool { return c.Pending() == 0 })
	r.step(func() { r.l.retire(c) })
	if heard, err := hear(peer); string(heard) != "late" || err != io.EOF {
		t.Errorf("heard %q, %v", heard, err)
	}
	if err := <-closed; err != ErrShutdown {
		t.Errorf("closed with %v", err)
	}
}

// Shutdown needs no silence of a quiet connection, only that its output is
// acknowledged, and looks for that often.
func TestShutdownIsNotPatient(t *testing.T) {
	r := newRig(t, Config{})
	h, closed := closedWith()
	c, peer := r.tcp(Options{}, func(*Conn) Handler { return h })
	c.Write([]byte("x"))
	clog(t, c)
	r.step(func() { r.l.retire(c) })
	if s := r.rt.Stats(); s.Lingering != 1 || c.vigil.bye.look != r.l.now.Add(firstLook) {
		t.Fatalf("lingering %d, looked at again in %v", s.Lingering, c.vigil.bye.look.Sub(r.l.now))
	}
	if !tells {
		t.Skip("this system does not tell what is acknowledged")
	}
	hear(peer)
	r.until("Closed", func() bool { hear(peer); return len(closed) > 0 })

	c, _ = r.tcp(Options{}, func(*Conn) Handler { return h })
	c.Write([]byte("x"))
	soon(t, "it is acknowledged", func() bool { return !c.stakes(false, 0) })
	r.step(func() { r.l.retire(c) })
	if s := r.rt.Stats(); s.Lingered != 1 || s.Conns != 0 {
		t.Errorf("lingered %d, connections %d", s.Lingered, s.Conns)
	}
}

// Those who linger are forced at Shutdown's deadline, and by Close at once.
func TestLingeringIsForced(t *testing.T) {
	for name, force := range map[string]func(*Runtime) error{
		"Shutdown": func(rt *Runtime) error {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return rt.Shutdown(ctx)
		},
		"Close": func(rt *Runtime) error { rt.Close(); return context.Canceled },
	} {
		t.Run(name, func(t *testing.T) {
			rt := running(t, Config{CloseTimeout: time.Hour})
			h, closed := closedWith()
			h.data = func(c *Conn) error {
				c.Write(answer)
				return c.Close()
			}
			nc := dial(t, listening(t, rt, func(*Conn) Handler { return h }).Addr())
			nc.(*net.TCPConn).SetReadBuffer(16 << 10)
			if _, err := nc.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			soon(t, "it closes", func() bool { return rt.Stats().BytesRead == 1 })
			if err := force(rt); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if err := receive(t, "Closed", closed); err != ErrShutdown {
				t.Errorf("closed with %v", err)
			}
		})
	}
}
