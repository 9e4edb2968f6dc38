package conn

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/sock"
)

// acceptorOf makes an acceptor on a rig's loop.
func acceptorOf(r *rig, lc ListenConfig, serve Serve) *acceptor {
	r.t.Helper()
	a := deafAcceptor(r, lc, serve)
	if err := a.begin(); err != nil {
		r.t.Fatal(err)
	}
	r.settle()
	return a
}

// deafAcceptor makes one that is not told of connections.
func deafAcceptor(r *rig, lc ListenConfig, serve Serve) *acceptor {
	r.t.Helper()
	fd, err := sock.Listen(sock.Addr(loopback), sock.ListenConfig{})
	if err != nil {
		r.t.Fatal(err)
	}
	ln := lc.listener(r.rt, serve)
	ln.addr, _ = sock.LocalAddr(fd)
	a := &acceptor{ln: ln, loop: r.l, fd: fd}
	ln.accepts = []*acceptor{a}
	r.rt.listeners[ln] = struct{}{}
	return a
}

// connect opens a connection to an acceptor, which has it in its queue.
func (r *rig) connect(a *acceptor) (peer int) {
	r.t.Helper()
	peer, err := sock.Socket(a.ln.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.peer = append(r.peer, peer)
	if _, err := sock.Connect(peer, a.ln.addr); err != nil {
		r.t.Fatal(err)
	}
	return peer
}

// Each error of accept(2) is counted as what it is; those that are about the
// process park the listener, those about one connection do not.
func TestAcceptErrors(t *testing.T) {
	for _, c := range []struct {
		errno   syscall.Errno
		counter func(Stats) uint64
		parks   bool
	}{
		{syscall.EMFILE, func(s Stats) uint64 { return s.RefusedFDs }, true},
		{syscall.ENFILE, func(s Stats) uint64 { return s.RefusedFDs }, true},
		{syscall.ENOBUFS, func(s Stats) uint64 { return s.RefusedMemory }, true},
		{syscall.ENOMEM, func(s Stats) uint64 { return s.RefusedMemory }, true},
		{syscall.ECONNABORTED, func(s Stats) uint64 { return s.AcceptErrors }, false},
		{syscall.EPROTO, func(s Stats) uint64 { return s.AcceptErrors }, false},
		{syscall.EINVAL, func(s Stats) uint64 { return s.AcceptErrors }, true}, // nobody knows what to do: at least no spin
	} {
		t.Run(c.errno.Error(), func(t *testing.T) {
			var told []error
			r := newRig(t, Config{Trace: &Trace{Refused: func(_ *Listener, err error) { told = append(told, err) }}})
			a := acceptorOf(r, ListenConfig{}, echoes)
			onward := a.failed(r.l, c.errno)
			if parked := r.rt.parked.Load() == 1 && a.retry.Active(); parked != c.parks || onward == c.parks {
				t.Errorf("parked %v, goes on %v; want parked %v", parked, onward, c.parks)
			}
			r.l.heap.Stop(&a.retry) // what comes of a second try is not asked here
			r.turn()
			if n := c.counter(r.rt.Stats()); n != 1 {
				t.Errorf("counted %d times", n)
			}
			if len(told) != 1 || !errors.Is(told[0], c.errno) {
				t.Errorf("traced %v", told)
			}
		})
	}
}

// The pauses of a parked listener grow and stop growing below a second; one
// that could accept starts anew.
func TestAcceptBackoff(t *testing.T) {
	r := newRig(t, Config{Bounds: uncounted}) // they would keep it parked
	a := acceptorOf(r, ListenConfig{}, echoes)
	last := time.Duration(0)
	for range 12 {
		a.failed(r.l, syscall.ENOBUFS)
		pause := a.retry.When().Sub(r.l.now)
		if pause < backoffMin || pause < last || pause > backoffMax || pause >= time.Second {
			t.Fatalf("a pause of %v after one of %v", pause, last)
		}
		last = pause
	}
	if last != backoffMax {
		t.Errorf("the last pause was %v, want %v", last, backoffMax)
	}
	// Readiness does not shorten a pause, or a peer could make it spin.
	peer := r.connect(a)
	r.settle()
	if a.ln.Conns() != 0 {
		t.Error("a parked listener accepted")
	}
	// A connection of the runtime that ends does.
	r.rt.part()
	r.rt.conns.Add(1)
	r.settle()
	if a.ln.Conns() != 1 || r.rt.parked.Load() != 0 || a.retry.Active() || a.backoff != 0 {
		t.Errorf("%d connections, %d parked, timer %v", a.ln.Conns(), r.rt.parked.Load(), a.retry.Active())
	}
	say(t, peer, []byte("hello"))
	r.settle()
	if p, err := hear(peer); string(p) != "hello" {
		t.Errorf("heard %q, %v", p, err)
	}
}

// Without a descriptor to accept with, the reserve is used to answer.
func TestAcceptAnswersFromReserve(t *testing.T) {
	r := newRig(t, Config{})
	a := acceptorOf(r, ListenConfig{}, echoes)
	peers := []int{r.connect(a), r.connect(a), r.connect(a)}
	a.failed(r.l, syscall.EMFILE)
	for _, fd := range peers {
		// The reset may still be on its way through the loopback device.
		soon(t, "an answer", func() bool { _, err := hear(fd); return err == syscall.ECONNRESET || err == io.EOF })
	}
	if r.rt.reserve.fd < 0 {
		t.Error("the reserve is gone")
	}
}

// A Serve that panics, or ends its goroutine, leaves nobody behind it in the
// queue: their edge was the one that is being handled.
func TestAcceptBehindPanic(t *testing.T) {
	for name, fall := range map[string]func(){"panic": func() { panic("boom") }, "goexit": exit} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{})
			served := 0
			a := acceptorOf(r, ListenConfig{}, func(*Conn) Handler {
				if served++; served%3 == 1 {
					fall()
				}
				return funcs{}
			})
			for range 10 {
				r.connect(a)
			}
			r.settle()
			if served != 10 || a.ln.Conns() != 6 {
				t.Errorf("Serve was called %d times, %d connections are open; want 10 and 6", served, a.ln.Conns())
			}
		})
	}
}

// A storm of connects has its share of a turn, and no connect is forgotten.
func TestAcceptBudget(t *testing.T) {
	r := newRig(t, Config{})
	served := 0
	a := acceptorOf(r, ListenConfig{}, func(*Conn) Handler { served++; return funcs{} })
	const n = 3*acceptBudget + 5
	for range n {
		r.connect(a)
	}
	r.turn() // readiness, and once more among posted work
	if served != 2*acceptBudget {
		t.Errorf("%d accepted in the first turn, want %d", served, 2*acceptBudget)
	}
	r.settle()
	if served != n {
		t.Errorf("%d accepted, want %d", served, n)
	}
}

// TestDrainBehindPanic drains a listener whose Serve panics.
func TestDrainBehindPanic(t *testing.T) {
	r := newRig(t, Config{})
	served := 0
	a := deafAcceptor(r, ListenConfig{}, func(*Conn) Handler {
		if served++; served%2 == 0 {
			panic("boom")
		}
		return funcs{}
	})
	const n = 9
	for range n {
		r.connect(a)
	}
	drained := false
	a.drain(func() { drained = true })
	r.settle()
	if served != n || !drained {
		t.Errorf("%d of %d accepted, done %v", served, n, drained)
	}
}

func TestMaxConns(t *testing.T) {
	for name, lc := range map[string]struct {
		cfg Config
		lc  ListenConfig
	}{
		"runtime":  {cfg: Config{Loops: 2, MaxConns: 3}},
		"listener": {cfg: Config{Loops: 2}, lc: ListenConfig{MaxConns: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			refusals := make(chan error, 10)
			lc.cfg.Trace = &Trace{Refused: func(_ *Listener, err error) { refusals <- err }}
			rt := running(t, lc.cfg)
			ln, err := lc.lc.Listen(rt, loopback, echoes)
			if err != nil {
				t.Fatal(err)
			}
			var ncs []net.Conn
			for range 3 {
				nc := dial(t, ln.Addr())
				mustAsk(t, nc, "hello")
				ncs = append(ncs, nc)
			}
			for range 2 {
				if err := ask(dial(t, ln.Addr()), "too many"); !refused(err) {
					t.Errorf("above the limit: %v", err)
				}
				if err := receive(t, "a refusal", refusals); err != ErrLimit {
					t.Errorf("refused with %v", err)
				}
			}
			soon(t, "the counter", func() bool { return rt.Stats().RefusedLimit == 2 })
			if rt.Stats().Conns != 3 || ln.Conns() != 3 || ln.Accepted() != 3 {
				t.Errorf("%d connections, of the listener %d, accepted %d", rt.Stats().Conns, ln.Conns(), ln.Accepted())
			}
			ncs[0].Close()
			soon(t, "one has left", func() bool { return rt.Stats().Conns == 2 })
			mustAsk(t, dial(t, ln.Addr()), "room again")
		})
	}
}

func TestBalance(t *testing.T) {
	const loops, peers = 3, 60
	for name, b := range map[string]Balance{"auto": Auto, "round robin": RoundRobin, "least loaded": LeastLoaded, "per loop": PerLoop} {
		t.Run(name, func(t *testing.T) {
			rt := running(t, Config{Loops: loops})
			ln, err := ListenConfig{Balance: b}.Listen(rt, loopback, echoes)
			if err != nil {
				t.Fatal(err)
			}
			for range peers {
				mustAsk(t, dial(t, ln.Addr()), "hello")
			}
			sum := int64(0)
			for i, l := range rt.Stats().Loops {
				sum += l.Conns
				// The kernel's hash deals unevenly; that one loop of three gets
				// none of sixty happens once in ten billion runs.
				if b != PerLoop && l.Conns != peers/loops || l.Conns == 0 {
					t.Errorf("loop %d has %d connections", i, l.Conns)
				}
			}
			if sum != peers || ln.Conns() != peers {
				t.Errorf("%d connections on loops, %d of the listener", sum, ln.Conns())
			}
			if want := 1; b == PerLoop && dealsPorts {
				want = loops
				if len(ln.accepts) != want {
					t.Errorf("%d sockets listen, want %d", len(ln.accepts), want)
				}
			}
		})
	}
}

// LeastLoaded fills up what has become empty.
func TestLeastLoadedFillsUp(t *testing.T) {
	rt := running(t, Config{Loops: 2})
	var first []*Conn
	opened := make(chan *Conn, 1)
	ln, err := ListenConfig{Balance: LeastLoaded}.Listen(rt, loopback, func(c *Conn) Handler { opened <- c; return funcs{} })
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		dial(t, ln.Addr())
		if c := receive(t, "a connection", opened); c.Loop() == 0 {
			first = append(first, c)
		}
	}
	for _, c := range first {
		c.Close()
	}
	soon(t, "loop 0 is empty", func() bool { return rt.Stats().Loops[0].Conns == 0 })
	for range 5 {
		dial(t, ln.Addr())
		if c := receive(t, "a connection", opened); c.Loop() != 0 {
			t.Errorf("a connection went to loop %d", c.Loop())
		}
	}
}

// While listeners still accept, a runtime without connections is not at its end.
func TestNotEmptyWhileAccepting(t *testing.T) {
	r := newRig(t, Config{})
	a := acceptorOf(r, ListenConfig{}, echoes)
	ended := func() bool {
		select {
		case <-r.rt.empty:
			return true
		default:
			return false
		}
	}
	r.rt.draining = true // as Shutdown begins
	c, _ := r.pair(Options{}, echoes)
	c.Close()
	r.settle()
	peer := r.connect(a)
	if ended() {
		t.Fatal("ended, with a connection in the queue")
	}
	sealed := make(chan struct{})
	go func() { defer close(sealed); r.rt.seal() }()
	for done := false; !done; { // seal waits for the loop to drain the queue
		r.turn()
		select {
		case <-sealed:
			done = true
		default:
		}
	}
	if r.rt.Stats().Accepted != 1 {
		t.Errorf("%d accepted", r.rt.Stats().Accepted)
	}
	say(t, peer, []byte("hello"))
	r.settle()
	if p, err := hear(peer); string(p) != "hello" || err != io.EOF || !ended() {
		t.Errorf("heard %q, %v, ended %v", p, err, ended())
	}
}
