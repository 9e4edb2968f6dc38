package conn

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/leak"
)

// patient bounds everything in these tests that should not take long.
const patient = 30 * time.Second

// running starts a runtime that is closed at the end of the test, when nothing
// of it may be left: no connection, no byte of the budget, no descriptor.
func running(t testing.TB, cfg Config) *Runtime {
	t.Helper()
	leak.FDs(t)
	balanced(t, &cfg)
	rt, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		rt.Close()
		s := rt.Stats()
		if s.BudgetUsed != 0 || s.Conns != 0 || s.Lingering != 0 || s.Opened < s.Closed {
			t.Errorf("at the end: budget %d, connections %d, lingering %d, opened %d, closed %d",
				s.BudgetUsed, s.Conns, s.Lingering, s.Opened, s.Closed)
		}
		for i, l := range s.Loops {
			if l.TimersSet != 0 {
				t.Errorf("at the end of loop %d %d timers are set", i, l.TimersSet)
			}
		}
	})
	return rt
}

var loopback = TCP(netip.MustParseAddrPort("127.0.0.1:0"))

func listening(t testing.TB, rt *Runtime, serve Serve) *Listener {
	t.Helper()
	ln, err := rt.Listen(loopback, serve)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// dial connects to a listener with package net. The connection is closed at the
// end of the test and has a deadline, so that nothing hangs.
func dial(t testing.TB, at Addr) net.Conn {
	t.Helper()
	nc, err := net.Dial(at.Network(), at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patient))
	return nc
}

// ask sends a message and wants it back.
func ask(nc net.Conn, message string) error {
	if _, err := io.WriteString(nc, message); err != nil {
		return err
	}
	back := make([]byte, len(message))
	if _, err := io.ReadFull(nc, back); err != nil {
		return err
	}
	if string(back) != message {
		return errors.New("somebody else's answer: " + string(back))
	}
	return nil
}

func mustAsk(t testing.TB, nc net.Conn, message string) {
	t.Helper()
	if err := ask(nc, message); err != nil {
		t.Fatal(err)
	}
}

// funcs is a Handler of functions; data nil echoes.
type funcs struct {
	data   func(*Conn) error
	closed func(*Conn, error)
}

func (f funcs) Data(c *Conn) error {
	if f.data == nil {
		return echo(c)
	}
	return f.data(c)
}

func (f funcs) Closed(c *Conn, err error) {
	if f.closed != nil {
		f.closed(c, err)
	}
}

// Drained goes on echoing where HighWater stopped it.
func (f funcs) Drained(c *Conn) {
	if f.data == nil {
		echo(c)
	}
}

func echo(c *Conn) error {
	n, err := c.Write(c.Peek())
	c.Discard(n)
	if err == ErrFull {
		return nil // Drained goes on
	}
	return err
}

func echoes(*Conn) Handler { return funcs{} }

// echoBlocking is a Serve that echoes on the blocking face, and a wait for its
// goroutines.
func echoBlocking() (Serve, *sync.WaitGroup) {
	var all sync.WaitGroup
	return func(c *Conn) Handler {
		b := c.Block()
		all.Go(func() {
			defer b.Close()
			p := make([]byte, 4096)
			for {
				n, err := b.Read(p)
				if err != nil {
					return
				}
				if _, err := b.Write(p[:n]); err != nil {
					return
				}
			}
		})
		return nil
	}, &all
}

// soon waits for what nothing signals.
func soon(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patient); !cond(); {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patient, what)
		}
		<-time.After(time.Millisecond)
	}
}

// receive waits for a value.
func receive[T any](t testing.TB, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patient):
		t.Fatalf("not within %v: %s", patient, what)
	}
	return v
}

// within runs f and fails when it does not return.
func within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	receive(t, what, done)
}

// refused reports whether an error is one that a peer may see which is not
// served: its connect is refused, or it is closed or reset before it has read
// anything.
func refused(err error) bool {
	if err == nil {
		return false
	}
	for _, is := range []string{"connection refused", "connection reset", "broken pipe"} {
		if strings.Contains(err.Error(), is) {
			return true
		}
	}
	return err == io.EOF
}

func soonest(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	t.Cleanup(cancel)
	return ctx
}

// childKey makes the test binary play another process: see child.
const childKey = "WEIR_CONN_TEST_CHILD"

func inChild(name string) bool { return os.Getenv(childKey) == name }

func isErrno(err error, want syscall.Errno) bool { return errors.Is(err, want) }
