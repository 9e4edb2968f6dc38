package conn

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/internal/sock"
)

// Balance says how a listener's connections are dealt to the loops.
type Balance uint8

const (
	Auto        Balance = iota // RoundRobin
	PerLoop                    // a listening socket for each loop, by SO_REUSEPORT: the kernel deals, by a hash of the addresses. TCP, where the kernel does it; otherwise RoundRobin
	RoundRobin                 // one loop accepts and deals in turn
	LeastLoaded                // one loop accepts and deals to the loop with the fewest connections
)

// ListenConfig says how to listen. The zero value works.
type ListenConfig struct {
	Options               // of the connections; what is zero is taken from the Runtime's
	Balance  Balance      // zero: Auto
	Backlog  int          // of connections that wait to be accepted. 0: the most the system allows
	V6Only   bool         // [::] does not take IPv4
	UnixMode uint32       // permission bits of a Unix socket's file. 0: by umask
	MaxConns int          // of this listener, open at once. 0: no limit but the Runtime's
	Class    bounds.Class // that Config.Bounds counts its connections as. 0: bounds.Server

	// Guard is asked for each connection, by its peer's address; those that it
	// does not let in are closed at once. Several listeners may share one. nil:
	// everybody is let in.
	Guard *bounds.Guard

	// Farewell gets connections that Config.Bounds does not let in, a few at a
	// time and 160 a second at most, to tell their peers so and Close them;
	// after 5 s without a byte they are closed all the same. They count in
	// MaxConns. nil: all wait in the kernel's queue until there is room, or are
	// reset when nothing is left.
	Farewell Serve
}

// Listener accepts connections for a Serve.
type Listener struct {
	rt       *Runtime
	addr     sock.Addr
	serve    Serve
	set      *settings
	balance  Balance
	max      int64
	class    bounds.Class // of the connections
	farewell Serve        // of those that are not let in, or nil
	guard    *bounds.Guard
	lastSet  *settings // theirs
	options  bool      // accepted sockets have not inherited their options
	accepts  []*acceptor
	open     atomic.Int64 // connections
	accepted atomic.Uint64
	kept     atomic.Bool // a Unix socket's file is somebody else's
	stopped  sync.Once
	once     sync.Once
	done     chan struct{} // closed by Close
}

// Done is closed when the listener has been, by Close or by the end of the
// runtime.
func (ln *Listener) Done() <-chan struct{} { return ln.done }

// Listen accepts connections at an address and gives each to serve. Port 0
// lets the kernel choose; see Listener.Addr. Never call it from a callback: it
// waits until the loops have the sockets.
func (rt *Runtime) Listen(at Addr, serve Serve) (*Listener, error) {
	return ListenConfig{}.Listen(rt, at, serve)
}

// Listen is Runtime.Listen with options.
func (lc ListenConfig) Listen(rt *Runtime, at Addr, serve Serve) (*Listener, error) {
	ln := lc.listener(rt, serve)
	o := &ln.set.Options
	sc := sock.ListenConfig{
		Backlog: lc.Backlog, V6Only: lc.V6Only, UnixMode: lc.UnixMode,
		NoDelay: !o.Nagle, KeepAlive: sock.KeepAlive(o.KeepAlive),
		ReadBuffer: o.ReadBuffer, WriteBuffer: o.WriteBuffer,
	}
	sockets := 1
	if lc.Balance == PerLoop && !at.IsUnix() && dealsPorts && len(rt.all) > 1 {
		sockets, sc.ReusePort = len(rt.all), true
	} else if lc.Balance == PerLoop {
		ln.balance = RoundRobin
	}
	fds := make([]int, 0, sockets)
	for range sockets {
		fd, err := sock.Listen(sock.Addr(at), sc)
		if err == nil && o.UserTimeout > 0 && !at.IsUnix() {
			sock.SetUserTimeout(fd, o.UserTimeout) // where there
		}
		if err == nil {
			fds = append(fds, fd)
			if ln.addr, err = sock.LocalAddr(fd); err == nil {
				at = Addr(ln.addr) // the others share the port the kernel chose
				continue
			}
		}
		closeAll(fds)
		return nil, err
	}
	if err := ln.start(fds); err != nil {
		return nil, err
	}
	return ln, nil
}

// Adopt listens on a descriptor that listens already, such as one inherited by
// socket activation: AdoptAll of one.
func (lc ListenConfig) Adopt(rt *Runtime, fd int, serve Serve) (*Listener, error) {
	return lc.AdoptAll(rt, []int{fd}, serve)
}

func (lc ListenConfig) listener(rt *Runtime, serve Serve) *Listener {
	ln := &Listener{
		rt: rt, serve: serve, done: make(chan struct{}), balance: lc.Balance, max: int64(lc.MaxConns),
		class:    classOr(lc.Class, bounds.Server),
		farewell: lc.Farewell,
		guard:    lc.Guard,
		set:      &settings{lc.Options.over(rt.cfg.Options)},
		options:  !sock.AcceptInherits,
	}
	ln.lastSet = farewellOf(ln.set.Options)
	if ln.balance == Auto {
		ln.balance = RoundRobin
	}
	return ln
}

// start gives each socket to a loop.
func (ln *Listener) start(fds []int) error {
	rt := ln.rt
	rt.mu.Lock()
	if rt.draining {
		rt.mu.Unlock()
		closeAll(fds)
		return ErrShutdown
	}
	rt.listeners[ln] = struct{}{}
	first := 0
	if len(fds) == 1 {
		first = int(rt.next.Load() % uint32(len(rt.all)))
	}
	for i, fd := range fds {
		ln.accepts = append(ln.accepts, &acceptor{ln: ln, loop: rt.all[(first+i)%len(rt.all)], fd: fd})
	}
	rt.mu.Unlock()
	begun := make(chan error, len(ln.accepts))
	for _, a := range ln.accepts {
		lost := func() { begun <- ErrClosed }
		if err := a.loop.send(task{run: func() { begun <- a.begin() }, lost: lost}, 0); err != nil {
			begun <- err
		}
	}
	for range ln.accepts {
		if err := <-begun; err != nil {
			ln.Close()
			return err
		}
	}
	return nil
}

// Addr returns where the listener listens, with the port that the kernel chose.
func (ln *Listener) Addr() Addr { return Addr(ln.addr) }

// Accepted returns how many connections it has accepted.
func (ln *Listener) Accepted() uint64 { return ln.accepted.Load() }

// Conns returns how many of its connections are open.
func (ln *Listener) Conns() int { return int(ln.open.Load()) }

// Close stops accepting and closes the sockets before it returns; connections
// that were accepted live on, those still in the kernel's queue are reset.
// Closing again does nothing.
func (ln *Listener) Close() error {
	ln.once.Do(func() {
		ln.rt.mu.Lock()
		delete(ln.rt.listeners, ln)
		ln.rt.mu.Unlock()
		ln.stop()
		if ln.addr.IsUnix() && !ln.kept.Load() {
			sock.Unlink(ln.addr)
		}
		close(ln.done)
	})
	return nil
}

// stop closes the sockets, once.
func (ln *Listener) stop() {
	ln.stopped.Do(func() {
		ln.rt.mu.Lock()
		accepts := slices.Clone(ln.accepts)
		ln.rt.mu.Unlock()
		for _, a := range accepts {
			a.close()
			a.loop.send(task{run: a.forget}, 0)
		}
	})
}

// Dup returns a duplicate of the listening socket's descriptor, to hand to
// another process; it is the caller's. After it Close leaves a Unix socket's
// file alone, because somebody else may listen there.
func (ln *Listener) Dup() (fd int, err error) {
	if fd, err = ln.accepts[0].dup(); err == nil {
		ln.kept.Store(true)
	}
	return fd, err
}

func (rt *Runtime) closeListeners(drain bool) {
	rt.mu.Lock()
	all := make([]*Listener, 0, len(rt.listeners))
	for ln := range rt.listeners {
		all = append(all, ln)
	}
	rt.mu.Unlock()
	for _, ln := range all {
		if drain {
			ln.drainQueue()
		}
		ln.Close()
	}
}

// dealsPorts says whether SO_REUSEPORT deals connections out to the listeners of
// a port; elsewhere it only lets them share it, and one of them gets all.
const dealsPorts = runtime.GOOS == "linux" || runtime.GOOS == "dragonfly"

func closeAll(fds []int) {
	for _, fd := range fds {
		sock.Close(fd)
	}
}
