package conn

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/timer"
)

func TestMain(m *testing.M) { leak.Main(m) }

// rig is a runtime whose loop is turned by hand: nothing happens between two
// turns, so what happens in one is the same each time.
type rig struct {
	t    testing.TB
	rt   *Runtime
	l    *loop
	peer []int // to be closed at the end
}

// newRig makes a rig of one loop. At the end of the test it is closed, and
// nothing may be left: no connection, no byte of the budget, no descriptor.
func newRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	leak.FDs(t)
	cfg.Loops, cfg.SlowCallback = 1, -1
	balanced(t, &cfg)
	rt, err := newRuntime(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, rt: rt, l: rt.all[0]}
	t.Cleanup(r.end)
	return r
}

// end is Runtime.Close for a loop without a goroutine.
func (r *rig) end() {
	r.rt.mu.Lock()
	r.rt.closed, r.rt.draining = true, true
	r.rt.mu.Unlock()
	r.rt.closeListeners(false)
	r.l.ending = true
	r.step(r.l.finish)
	r.rt.closePool()
	r.rt.reserve.close()
	r.rt.unwatchLoads()
	for _, fd := range r.peer {
		sock.Close(fd)
	}
	if s := r.rt.Stats(); s.BudgetUsed != 0 || s.Conns != 0 || s.Lingering != 0 || r.l.conns.Load() != 0 {
		r.t.Errorf("at the end: budget %d, connections %d, lingering %d, of the loop %d; want none",
			s.BudgetUsed, s.Conns, s.Lingering, r.l.conns.Load())
	}
	if n := r.l.heap.Len(); n != 0 {
		r.t.Errorf("at the end %d timers are set", n)
	}
}

// step runs f as the loop's goroutine would, that is on one that a callback may
// end with Goexit: another then carries on, as in loop.run.
func (r *rig) step(f func()) {
	for finished := false; !finished; f = r.l.carryOn {
		done := make(chan struct{})
		go func() {
			defer close(done)
			f()
			finished = true
		}()
		<-done
	}
}

// turn turns the loop once without waiting.
func (r *rig) turn() { r.step(func() { r.l.turn(0) }) }

// wait turns the loop once, waiting for something to happen.
func (r *rig) wait() { r.step(func() { r.l.turn(10 * time.Second) }) }

// settle turns the loop until there is nothing left to do but wait.
func (r *rig) settle() {
	for range 10000 {
		if r.quietTurn() {
			return
		}
	}
	r.t.Fatal("the loop does not come to rest")
}

// quietTurn turns once and reports whether nothing happened.
func (r *rig) quietTurn() bool {
	before := r.rt.Stats().Loops[0]
	r.turn()
	after := r.rt.Stats().Loops[0]
	return after.Events == before.Events && after.Posted == before.Posted && after.Timers == before.Timers &&
		r.l.patience() != 0
}

// pair opens a connection over a socket pair and returns it with the peer's
// end.
func (r *rig) pair(o Options, serve Serve) (*Conn, int) {
	r.t.Helper()
	fds, err := sock.Pair()
	if err != nil {
		r.t.Fatal(err)
	}
	r.peer = append(r.peer, fds[1])
	return r.open(fds[0], o, serve), fds[1]
}

// tcp opens a connection over TCP.
func (r *rig) tcp(o Options, serve Serve) (*Conn, int) {
	r.t.Helper()
	fd, peer := tcpPair(r.t)
	r.peer = append(r.peer, peer)
	return r.open(fd, o, serve), peer
}

// open makes a connection of a descriptor, as Listener.adopt does.
func (r *rig) open(fd int, o Options, serve Serve) *Conn {
	r.t.Helper()
	if err := r.rt.join(); err != nil {
		r.t.Fatal(err)
	}
	r.l.conns.Add(1)
	remote, _ := sock.RemoteAddr(fd)
	r.rt.force(bounds.Server)
	c := newConn(r.l, fd, bounds.Server, sock.PeerOf(remote.IP), &settings{o.over(r.rt.cfg.Options)})
	setBuffers(fd, &c.set.Options)
	r.step(func() {
		defer r.l.rescue()
		r.l.now = timer.Now()
		r.l.open(c, serve)
	})
	return c
}

// closePeer closes a peer's end before the rig does.
func (r *rig) closePeer(fd int) {
	for i := range r.peer {
		if r.peer[i] == fd {
			r.peer = append(r.peer[:i], r.peer[i+1:]...)
			sock.Close(fd)
			return
		}
	}
}

// tcpPair returns both ends of a TCP connection, non-blocking.
func tcpPair(t testing.TB) (a, b int) {
	t.Helper()
	at, _ := sock.ParseAddr("127.0.0.1:0")
	ln, err := sock.Listen(at, sock.ListenConfig{NoDelay: true})
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close(ln)
	if at, err = sock.LocalAddr(ln); err != nil {
		t.Fatal(err)
	}
	if b, err = sock.Socket(at); err != nil {
		t.Fatal(err)
	}
	if _, err = sock.Connect(b, at); err != nil {
		t.Fatal(err)
	}
	for {
		var errno syscall.Errno
		if a, errno = sock.Accept(ln, nil); errno == 0 {
			return a, b
		}
		if errno != syscall.EAGAIN {
			t.Fatal(errno)
		}
		runtime.Gosched()
	}
}

// say writes all of p to a peer's end, which must have room for it.
func say(t testing.TB, fd int, p []byte) {
	t.Helper()
	for len(p) > 0 {
		n, errno := sock.Send(fd, p)
		if errno != 0 {
			t.Fatalf("peer: send: %v", errno)
		}
		p = p[n:]
	}
}

// hear reads what a peer's end has now. err is io.EOF at the end of stream.
func hear(fd int) (p []byte, err error) {
	buf := make([]byte, 64<<10)
	for {
		n, errno := sock.Recv(fd, buf)
		switch {
		case errno == syscall.EAGAIN:
			return p, nil
		case errno != 0:
			return p, errno
		case n == 0:
			return p, io.EOF
		}
		p = append(p, buf[:n]...)
	}
}

// clog fills the way to the peer, so that nothing more can be sent. The filler
// is zeros.
func clog(t testing.TB, c *Conn) {
	t.Helper()
	zeros := make([]byte, 4096)
	err := c.Control(func(fd uintptr) {
		for {
			if _, errno := sock.Send(int(fd), zeros); errno == syscall.EAGAIN {
				// A last small one may fit where a large one did not.
				if _, errno := sock.Send(int(fd), zeros[:1]); errno == syscall.EAGAIN {
					return
				}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// short names the errors of traces.
func short(err error) string {
	var p *PanicError
	var errno syscall.Errno
	names := map[error]string{
		io.EOF: "EOF", ErrClosed: "closed", ErrFull: "full", ErrBudget: "budget", ErrBusy: "busy", ErrIdle: "idle",
		ErrSlow: "slow", ErrShutdown: "shutdown", ErrPending: "pending", ErrFlush: "flush", ErrBlocking: "blocking",
	}
	switch {
	case err == nil:
		return "nil"
	case errors.As(err, &p):
		if p.Value == errGoexit {
			return "goexit"
		}
		return fmt.Sprint("panic ", p.Value)
	case names[err] != "":
		return names[err]
	case errors.As(err, &errno):
		return errnoName(errno)
	}
	return err.Error()
}

func errnoName(e syscall.Errno) string {
	switch e {
	case syscall.ECONNRESET:
		return "ECONNRESET"
	case syscall.EPIPE:
		return "EPIPE"
	case syscall.ECONNREFUSED:
		return "ECONNREFUSED"
	}
	return e.Error()
}
