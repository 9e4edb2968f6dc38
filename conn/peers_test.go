package conn

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// flood is a handler that writes all it may, all the time.
type flood struct {
	funcs
	most *atomic.Int64 // the most that was ever pending
	full *atomic.Int64 // writes that were not taken
}

var block = bytes.Repeat([]byte("0123456789abcdef"), 1<<9)

func (f flood) Drained(c *Conn) { f.pour(c) }

func (f flood) pour(c *Conn) {
	for {
		n, err := c.Write(block)
		if p := int64(c.Pending()); p > f.most.Load() {
			f.most.Store(p)
		}
		if err != nil || n < len(block) {
			f.full.Add(1)
			return
		}
	}
}

// TestPeersThatNeverRead floods peers that read nothing: what waits for each
// stays below its mark, and the others are served as ever.
func TestPeersThatNeverRead(t *testing.T) {
	const peers, high = 40, 64 << 10
	var most, full atomic.Int64
	rt := running(t, Config{Loops: 2, Options: Options{HighWater: high, WriteBuffer: 4096}})
	ln := listening(t, rt, func(c *Conn) Handler {
		f := flood{most: &most, full: &full}
		c.Post(f.pour)
		return f
	})
	others := listening(t, rt, echoes)
	for range peers {
		dial(t, ln.Addr())
	}
	soon(t, "all are full", func() bool { return full.Load() >= peers })
	if n := most.Load(); n > high {
		t.Errorf("%d bytes were pending, above HighWater's %d", n, high)
	}
	// Storage comes in powers of two: at worst half of it is empty.
	if used := rt.Stats().BudgetUsed; used > peers*2*high || used < peers*high/2 {
		t.Errorf("the budget has %d bytes for %d peers of %d", used, peers, high)
	}
	for range 4 {
		mustAsk(t, dial(t, others.Addr()), strings.Repeat("hello", 1000))
	}
}

// TestBudgetOfManyPeers does so with less memory than the marks would allow:
// the budget holds, and who needs no storage is served as ever.
func TestBudgetOfManyPeers(t *testing.T) {
	const peers, limit = 60, 256 << 10
	var most, full atomic.Int64
	rt := running(t, Config{Loops: 2, ByteBudget: limit, Options: Options{WriteBuffer: 4096}})
	ln := listening(t, rt, func(c *Conn) Handler {
		f := flood{most: &most, full: &full}
		c.Post(f.pour)
		return f
	})
	others := listening(t, rt, echoes)
	for range peers {
		dial(t, ln.Addr())
	}
	soon(t, "all are refused", func() bool { return full.Load() >= peers })
	s := rt.Stats()
	if s.BudgetUsed > limit || s.BudgetUsed < limit/2 || s.BudgetRefusals == 0 {
		t.Errorf("the budget has %d of %d bytes, refused %d times", s.BudgetUsed, s.BudgetLimit, s.BudgetRefusals)
	}
	for range 4 {
		mustAsk(t, dial(t, others.Addr()), "hello")
	}
}

// TestPeersThatNeverFinish send messages without an end: what is kept of each
// stays below InLimit, and TCP makes them wait.
func TestPeersThatNeverFinish(t *testing.T) {
	const peers, limit = 20, 32 << 10
	rt := running(t, Config{Loops: 2, Options: Options{InLimit: limit, ReadBuffer: 4096}})
	ln := listening(t, rt, func(*Conn) Handler {
		return funcs{data: func(c *Conn) error {
			if n := c.Buffered(); n > limit {
				return fmt.Errorf("%d bytes are buffered", n)
			}
			return nil // never enough
		}}
	})
	var stuck sync.WaitGroup
	for range peers {
		nc := dial(t, ln.Addr())
		stuck.Go(func() {
			for {
				if _, err := nc.Write(block); err != nil {
					return
				}
			}
		})
	}
	soon(t, "all are at their limit", func() bool { return rt.Stats().ReadPauses >= peers })
	if s := rt.Stats(); s.BudgetUsed > peers*2*limit || s.Closed > 0 {
		t.Errorf("budget %d, closed %d", s.BudgetUsed, s.Closed)
	}
	rt.Close()
	within(t, "the peers hear of the end", stuck.Wait)
}

// lines echoes whole lines and leaves the rest.
func lines(c *Conn) error {
	p := c.Peek()
	end := bytes.LastIndexByte(p, '\n') + 1
	_, err := c.Write(p[:end])
	c.Discard(end)
	return err
}

// TestSlowSender has a peer that sends a byte now and then, never a line, and
// another that sends as many bytes at once and takes its time with the end.
func TestSlowSender(t *testing.T) {
	closed := make(chan error, 2)
	rt := running(t, Config{Loops: 1, Options: Options{MinRate: Rate{Bytes: 2000, Grace: 100 * time.Millisecond}}})
	ln := listening(t, rt, func(*Conn) Handler {
		return funcs{data: lines, closed: func(_ *Conn, err error) { closed <- err }}
	})
	fast, slow := dial(t, ln.Addr()), dial(t, ln.Addr())
	// Enough for five minutes at that rate.
	if _, err := fast.Write(bytes.Repeat([]byte("x"), 200<<10)); err != nil {
		t.Fatal(err)
	}
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		if _, err := slow.Write([]byte("x")); err != nil {
			break
		}
	}
	if err := receive(t, "the slow one's end", closed); err != ErrSlow {
		t.Fatalf("closed with %v", err)
	}
	if n := rt.Stats().SlowCloses; n > 1 {
		t.Errorf("%d slow closes", n)
	}
	if _, err := fast.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	if back, err := bufio.NewReader(fast).ReadString('\n'); err != nil || len(back) != 200<<10+1 {
		t.Errorf("the fast one heard %d bytes, %v", len(back), err)
	}
}

// TestHalfOpen has peers that have gone without a word, as far as we can know:
// Idle ends them. One that talks stays.
func TestHalfOpen(t *testing.T) {
	const silent = 5
	closed := make(chan error, silent+1)
	rt := running(t, Config{Loops: 2, Options: Options{Idle: 200 * time.Millisecond}})
	ln := listening(t, rt, func(*Conn) Handler { return funcs{closed: func(_ *Conn, err error) { closed <- err }} })
	for range silent {
		dial(t, ln.Addr())
	}
	talker := dial(t, ln.Addr())
	for n := 0; n < silent; {
		select {
		case err := <-closed:
			if err != ErrIdle {
				t.Fatalf("closed with %v", err)
			}
			n++
		case <-time.After(10 * time.Millisecond):
		}
		mustAsk(t, talker, "still here")
	}
	soon(t, "the counter", func() bool { return rt.Stats().IdleCloses == silent })
}

// TestResets resets connections in whatever state they are.
func TestResets(t *testing.T) {
	rt := running(t, Config{Loops: 2, Options: Options{HighWater: 1 << 20}})
	closed := make(chan error, 1)
	h := funcs{closed: func(_ *Conn, err error) { closed <- err }}
	states := map[string]Serve{
		"idle":       func(*Conn) Handler { return h },
		"paused":     func(c *Conn) Handler { c.Pause(); return h },
		"incomplete": func(*Conn) Handler { h := h; h.data = func(*Conn) error { return nil }; return h },
		"pending":    func(c *Conn) Handler { c.Write(make([]byte, 8<<20)); return h },
		"write half closed": func(c *Conn) Handler {
			h := h
			h.data = func(c *Conn) error { c.Discard(1); return nil }
			c.CloseWrite()
			return h
		},
		"closing": func(c *Conn) Handler { c.Write(make([]byte, 8<<20)); c.Close(); return h },
		"working": func(c *Conn) Handler {
			h := h
			h.data = func(c *Conn) error { c.Discard(1); return c.Go(func() { <-rt.stop }, nil) }
			return h
		},
	}
	for name, serve := range states {
		t.Run(name, func(t *testing.T) {
			ln := listening(t, rt, serve)
			defer ln.Close()
			nc := dial(t, ln.Addr()).(*net.TCPConn)
			if _, err := nc.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if name != "paused" {
				soon(t, "the byte has arrived", func() bool { return rt.Stats().BytesRead > 0 || name == "closing" })
			}
			nc.SetLinger(0)
			nc.Close()
			err := receive(t, "Closed", closed)
			if !isErrno(err, syscall.ECONNRESET) && !isErrno(err, syscall.EPIPE) {
				t.Errorf("closed with %v", err)
			}
		})
	}
}

// TestResetsBlocking does so on the blocking face.
func TestResetsBlocking(t *testing.T) {
	rt := running(t, Config{Loops: 2})
	blocking := map[string]func(*Blocking) error{
		"reading":   func(b *Blocking) error { _, err := io.Copy(io.Discard, struct{ io.Reader }{b}); return err },
		"waiting":   func(b *Blocking) error { b.Read(make([]byte, 2)); return errors.Join(b.WaitRead(), readOnce(b)) },
		"writing":   func(b *Blocking) error { _, err := b.Write(make([]byte, 8<<20)); return err },
		"gathering": func(b *Blocking) error { _, err := b.Writev([][]byte{block, make([]byte, 8<<20)}); return err },
	}
	for name, use := range blocking {
		t.Run(name, func(t *testing.T) {
			began, ended := make(chan struct{}), make(chan error, 1)
			ln := listening(t, rt, func(c *Conn) Handler {
				b := c.Block()
				go func() {
					close(began)
					err := use(b)
					b.Close()
					ended <- err
				}()
				return nil
			})
			defer ln.Close()
			nc := dial(t, ln.Addr()).(*net.TCPConn)
			if _, err := nc.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			receive(t, "the connection", began)
			nc.SetLinger(0)
			nc.Close()
			err := receive(t, "the call's end", ended)
			if !isErrno(err, syscall.ECONNRESET) && !isErrno(err, syscall.EPIPE) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func readOnce(b *Blocking) error {
	_, err := b.Read(make([]byte, 1))
	return err
}

// TestPanicsUnderLoad has handlers panic now and then: their connections end
// with the panic as the cause, the others lose no byte.
func TestPanicsUnderLoad(t *testing.T) {
	const peers, messages = 16, 60
	var panics, wrong atomic.Int64
	rt := running(t, Config{Loops: 2})
	ln := listening(t, rt, func(*Conn) Handler {
		return funcs{
			data: func(c *Conn) error {
				if bytes.IndexByte(c.Peek(), '!') >= 0 {
					panic("as asked")
				}
				return echo(c)
			},
			closed: func(_ *Conn, err error) {
				var p *PanicError
				if errors.As(err, &p) {
					if panics.Add(1); p.Value != "as asked" || !bytes.Contains(p.Stack, []byte("TestPanicsUnderLoad")) {
						wrong.Add(1)
					}
					panic("and again")
				}
			},
		}
	})
	var all sync.WaitGroup
	problems := make(chan error, peers)
	for range peers {
		all.Go(func() {
			for n := range messages {
				nc, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					problems <- err
					return
				}
				nc.SetDeadline(time.Now().Add(patient))
				if err := ask(nc, fmt.Sprintf("message %d", n)); err != nil {
					problems <- err
				}
				if err := ask(nc, "!"); !refused(err) {
					problems <- fmt.Errorf("after a panic: %v", err)
				}
				nc.Close()
			}
		})
	}
	within(t, "all peers", all.Wait)
	close(problems)
	for err := range problems {
		t.Error(err)
	}
	// A peer sees the end of its connection just before Closed is called.
	soon(t, "each panic has ended a connection", func() bool { return panics.Load() == peers*messages })
	if wrong.Load() > 0 {
		t.Errorf("%d connections ended with something else than their panic", wrong.Load())
	}
	soon(t, "the counter", func() bool { return rt.Stats().Panics == 2*peers*messages })
}

// A callback that ends its goroutine, as a failed test does, ends its
// connection: the loop has another goroutine then, also when the first held its
// thread.
func TestGoexitUnderLoad(t *testing.T) {
	rt := running(t, Config{Loops: 1, KeepThread: true})
	ended := make(chan error, 1)
	ln := listening(t, rt, func(*Conn) Handler {
		return funcs{
			data: func(c *Conn) error {
				if bytes.IndexByte(c.Peek(), '!') >= 0 {
					exit()
				}
				return echo(c)
			},
			closed: func(_ *Conn, err error) {
				var p *PanicError
				if errors.As(err, &p) {
					ended <- p
				}
			},
		}
	})
	other := dial(t, ln.Addr())
	for range 4 {
		for range 2 * inlineTurns {
			mustAsk(t, other, "turn after turn")
		}
		if err := ask(dial(t, ln.Addr()), "!"); !refused(err) {
			t.Errorf("after Goexit: %v", err)
		}
		if err := receive(t, "Closed", ended); !errors.Is(err, errGoexit) {
			t.Errorf("closed with %v", err)
		}
	}
	mustAsk(t, other, "still here")
}
