package conn

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/sock"
)

// What Close waits for, and for how long, is in testdata/linger.txt, on socket
// pairs. Here is what only TCP does: acknowledge, and reset.

var answer = bytes.Repeat([]byte("enough! "), 64<<10)

// A peer that is told good-bye while it still sends must be able to read it.
func TestCloseIsHeard(t *testing.T) {
	for name, serve := range map[string]Serve{
		"of Data": func(*Conn) Handler {
			return funcs{data: func(c *Conn) error {
				c.Discard(1)
				_, err := c.Write(answer)
				c.Close()
				return err
			}}
		},
		"of Go": func(*Conn) Handler {
			return funcs{data: func(c *Conn) error {
				c.Discard(c.Buffered())
				return c.Go(func() { c.Write(answer); c.Close() }, nil)
			}}
		},
		"behind CloseWrite": func(*Conn) Handler {
			return funcs{data: func(c *Conn) error {
				_, err := c.Write(answer)
				c.CloseWrite()
				c.Close()
				return err
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			rt := running(t, Config{Loops: 1})
			ln := listening(t, rt, serve)
			for range 20 {
				nc := dial(t, ln.Addr())
				for range 64 { // more than the server will read
					if _, err := nc.Write(block); err != nil {
						t.Fatal(err)
					}
				}
				if heard, err := io.ReadAll(nc); err != nil || !bytes.Equal(heard, answer) {
					t.Fatalf("heard %d of %d bytes, %v", len(heard), len(answer), err)
				}
				nc.Close()
			}
			soon(t, "all are closed", func() bool { return rt.Stats().Conns == 0 })
			if s := rt.Stats(); s.Lingered == 0 || s.LingerTimeouts+s.LingerOverruns+s.LingerRefusals != 0 {
				t.Errorf("lingered %d, timeouts %d, overruns %d, refusals %d",
					s.Lingered, s.LingerTimeouts, s.LingerOverruns, s.LingerRefusals)
			}
		})
	}
}

// tells says whether the system tells what the peer's TCP has acknowledged.
const tells = runtime.GOOS == "linux"

// closedWith is a handler that tells what Closed was given.
func closedWith() (funcs, chan error) {
	closed := make(chan error, 2)
	return funcs{closed: func(_ *Conn, err error) { closed <- err }}, closed
}

// until turns the loop by hand until something is the case.
func (r *rig) until(what string, cond func() bool) {
	r.t.Helper()
	soon(r.t, what, func() bool { r.turn(); return cond() })
}

// Output that the peer's TCP has not acknowledged is not risked: the peer may
// send what it likes before it reads.
func TestCloseWaitsForAcknowledgement(t *testing.T) {
	r := newRig(t, Config{})
	h, closed := closedWith()
	c, peer := r.tcp(Options{}, func(*Conn) Handler { return h })
	c.Write([]byte("x"))
	clog(t, c)
	c.Close()
	r.turn()
	if s := r.rt.Stats(); s.Lingering != 1 || s.Conns != 1 {
		t.Fatalf("lingering %d, connections %d", s.Lingering, s.Conns)
	}
	say(t, peer, []byte("more"))
	r.until("input is thrown away", func() bool { return c.received == 4 })
	var heard []byte
	r.until("the peer hears the end", func() bool {
		p, err := hear(peer)
		if heard = append(heard, p...); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		return err == io.EOF
	})
	if heard[0] != 'x' || len(bytes.Trim(heard[1:], "\x00")) > 0 || len(heard) < 1<<16 {
		t.Errorf("heard %d bytes", len(heard))
	}
	sock.ShutdownWrite(peer)
	r.until("Closed", func() bool { return len(closed) > 0 })
	if err := <-closed; err != nil {
		t.Errorf("closed with %v", err)
	}
}

// Where nothing is at stake Close waits for nothing.
func TestCloseAtOnce(t *testing.T) {
	sends := func(c *Conn, peer int) { c.Write([]byte("x")) }
	for name, test := range map[string]struct {
		before func(t *testing.T, r *rig, c *Conn, peer int)
	}{
		"nothing was sent": {before: func(_ *testing.T, r *rig, c *Conn, peer int) {}},
		"the peer's end was read": {before: func(_ *testing.T, r *rig, c *Conn, peer int) {
			sends(c, peer)
			sock.ShutdownWrite(peer)
			r.until("the end", func() bool { return c.flags&ended != 0 })
		}},
		"the peer's end was not read": {before: func(_ *testing.T, r *rig, c *Conn, peer int) {
			sends(c, peer)
			c.Pause()
			sock.ShutdownWrite(peer)
			r.until("the hangup", func() bool { return c.flags&hungUp != 0 })
		}},
		"all is acknowledged and silent": {before: func(t *testing.T, r *rig, c *Conn, peer int) {
			if !tells {
				t.Skip("this system does not tell what is acknowledged")
			}
			sends(c, peer)
			soon(t, "silence", func() bool { return !c.stakes(false, hush) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{})
			h, closed := closedWith()
			c, peer := r.tcp(Options{}, func(*Conn) Handler {
				return struct {
					funcs
					stays
				}{funcs: h}
			})
			r.turn()
			test.before(t, r, c, peer)
			c.Close()
			r.turn()
			if s := r.rt.Stats(); len(closed) == 0 || s.Conns != 0 || s.Lingered != 0 {
				t.Errorf("closed: %v; connections %d, lingered %d", len(closed) > 0, s.Conns, s.Lingered)
			}
			if p, err := hear(peer); err != io.EOF {
				t.Errorf("the peer hears %q, %v", p, err)
			}
		})
	}
}

// stays is the EOF of a handler that stays open.
type stays struct{}

func (stays) EOF(*Conn) error { return nil }

// A connection whose end has been read costs Close no system call but close(2)
// itself: it does not look for input.
func TestCloseDoesNotLookBehindTheEnd(t *testing.T) {
	r := newRig(t, Config{})
	c, peer := r.pair(Options{}, func(*Conn) Handler {
		return struct {
			funcs
			stays
		}{}
	})
	c.Write([]byte("x"))
	sock.ShutdownWrite(peer)
	r.settle()
	c.Close()
	r.turn()
	if c.flags&readable != 0 { // which conclude sets to look
		t.Error("looked for input")
	}
}

// A peer that never ends, but has been heard by its TCP, keeps a connection for
// half a second; one whose TCP takes nothing more for CloseTimeout. Either may
// still read to the end.
func TestLingeringEnds(t *testing.T) {
	for name, test := range map[string]struct {
		clogged  bool
		timeouts uint64
	}{"acknowledged": {}, "not acknowledged": {clogged: true, timeouts: 1}} {
		t.Run(name, func(t *testing.T) {
			if !test.clogged && !tells {
				t.Skip("this system does not tell what is acknowledged")
			}
			cfg := Config{}
			if test.clogged {
				cfg.CloseTimeout = 30 * time.Millisecond
			}
			r := newRig(t, cfg)
			h, closed := closedWith()
			c, peer := r.tcp(Options{}, func(*Conn) Handler { return h })
			c.Write([]byte("x"))
			if test.clogged {
				clog(t, c)
			} else { // for then it lingers, however long ago that x was
				c.Pause()
				say(t, peer, []byte("unread"))
				soon(t, "it has arrived", func() bool { return sock.Waiting(c.fd) })
			}
			c.Close()
			r.until("Closed", func() bool { return len(closed) > 0 })
			if err := <-closed; err != nil {
				t.Errorf("closed with %v", err)
			}
			if s := r.rt.Stats(); s.Lingered != 1 || s.LingerTimeouts != test.timeouts || s.Aborts != 0 {
				t.Errorf("lingered %d, timeouts %d, aborts %d", s.Lingered, s.LingerTimeouts, s.Aborts)
			}
			soon(t, "the peer hears the end", func() bool {
				_, err := hear(peer)
				if err != nil && err != io.EOF {
					t.Fatal(err)
				}
				return err == io.EOF
			})
		})
	}
}

// A peer that resets while Close lingers is the cause.
func TestLingeringIsReset(t *testing.T) {
	r := newRig(t, Config{})
	h, closed := closedWith()
	c, peer := r.tcp(Options{}, func(*Conn) Handler { return h })
	c.Write([]byte("x"))
	clog(t, c)
	c.Close()
	r.turn()
	sock.SetLinger(peer, 0)
	r.closePeer(peer)
	r.until("Closed", func() bool { return len(closed) > 0 })
	if err := <-closed; !isErrno(err, syscall.ECONNRESET) {
		t.Errorf("closed with %v", err)
	}
}

// When descriptors are short, those who wait for one go first.
func TestNobodyLingersWhileAListenerIsParked(t *testing.T) {
	r := newRig(t, Config{})
	c, _ := r.tcp(Options{}, func(*Conn) Handler { return funcs{} })
	c.Write([]byte("x"))
	clog(t, c)
	r.rt.parked.Add(1)
	c.Close()
	r.turn()
	r.rt.parked.Add(-1)
	if s := r.rt.Stats(); s.Conns != 0 || s.Lingered != 0 || s.LingerRefusals != 1 {
		t.Errorf("connections %d, lingered %d, refusals %d", s.Conns, s.Lingered, s.LingerRefusals)
	}
}

// TestLingerStorm has many peers cut short at once: who lingers is heard, no
// more than may do at a time, and none is forgotten.
func TestLingerStorm(t *testing.T) {
	const peers, rounds, most = 16, 8, 8
	rt := running(t, Config{Loops: 2, LingerConns: most})
	var over atomic.Int64
	ln := listening(t, rt, func(*Conn) Handler {
		return funcs{data: func(c *Conn) error {
			c.Discard(1)
			c.Write(answer)
			if n := rt.Stats().Lingering; n > most {
				over.Store(n)
			}
			return c.Close()
		}}
	})
	var all sync.WaitGroup
	var whole atomic.Uint64
	for range peers {
		all.Go(func() {
			for range rounds {
				nc, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				nc.SetDeadline(time.Now().Add(patient))
				for range 8 {
					nc.Write(block)
				}
				heard, err := io.ReadAll(nc)
				if err == nil && bytes.Equal(heard, answer) {
					whole.Add(1)
				}
				nc.Close()
			}
		})
	}
	within(t, "the peers", all.Wait)
	soon(t, "all are closed", func() bool { return rt.Stats().Conns == 0 })
	s := rt.Stats()
	if s.Lingering != 0 || over.Load() > 0 {
		t.Errorf("lingering %d, once %d; at most %d may", s.Lingering, over.Load(), most)
	}
	if whole.Load()+s.LingerRefusals < peers*rounds || s.Lingered == 0 {
		t.Errorf("%d of %d were heard, %d could not linger", whole.Load(), peers*rounds, s.LingerRefusals)
	}
	t.Logf("lingered %d, refused %d, heard %d", s.Lingered, s.LingerRefusals, whole.Load())
}
