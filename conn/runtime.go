package conn

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/timer"
)

// Runtime is a few loops, the listeners and connections on them, and the limits
// they share. Its methods may be called from any goroutine except, where they
// wait, from callbacks: Close, Shutdown and Dial would wait for themselves.
type Runtime struct {
	cfg    Config
	all    []*loop
	loops  sync.WaitGroup // their goroutines, and the watchdog's
	stop   chan struct{}  // closed by Close
	alarm  chan struct{}  // wakes the watchdog
	budget budget
	load   load          // how busy the process is, see rest
	next   atomic.Uint32 // round robin over loops

	conns    atomic.Int64 // open or being opened
	lingers  atomic.Int64 // of them, those that linger
	full     atomic.Uint64
	aborts   atomic.Uint64
	slow     atomic.Uint64
	postBusy atomic.Uint64
	poolBusy atomic.Uint64
	working  atomic.Int64

	reserve reserve
	parked  atomic.Int32 // listeners that wait for descriptors

	mu        sync.Mutex
	unwatch   []func() // ends what watchLoads began
	listeners map[*Listener]struct{}
	draining  bool
	sealed    bool // draining, and no listener accepts any more
	closed    bool
	empty     chan struct{} // closed when draining and the last connection has gone
	pool      Pool
	ownPool   *ownPool
}

// Start makes a Runtime and starts its loops. The caller ends it with Close.
func Start(cfg Config) (*Runtime, error) {
	rt, err := newRuntime(cfg)
	if err != nil {
		return nil, err
	}
	for _, l := range rt.all {
		rt.loops.Add(1)
		go l.run()
	}
	if rt.cfg.SlowCallback > 0 {
		rt.loops.Add(1)
		go rt.watch()
	}
	return rt, nil
}

// newRuntime makes a Runtime whose loops do not turn yet; a test turns them by
// hand.
func newRuntime(cfg Config) (*Runtime, error) {
	cfg.setDefaults()
	rt := &Runtime{
		cfg:       cfg,
		stop:      make(chan struct{}),
		alarm:     make(chan struct{}, 1),
		listeners: make(map[*Listener]struct{}),
		empty:     make(chan struct{}),
		pool:      cfg.Pool,
	}
	rt.budget.limit = cfg.ByteBudget
	rt.load.begin(timer.Now())
	if err := rt.reserve.open(); err != nil {
		return nil, err
	}
	if err := rt.watchLoads(); err != nil {
		rt.reserve.close()
		return nil, err
	}
	for i := range cfg.Loops {
		l, err := newLoop(rt, i)
		if err != nil {
			rt.closePollers()
			return nil, err
		}
		rt.all = append(rt.all, l)
	}
	return rt, nil
}

// Close ends everything now: listeners, connections (Closed is called with
// ErrShutdown), loops, the pool made for Go. It returns when the last callback
// has; work given to a Pool of the caller's own may still run. Closing again
// does nothing.
func (rt *Runtime) Close() error {
	rt.mu.Lock()
	again := rt.closed
	rt.closed, rt.draining = true, true
	rt.mu.Unlock()
	if !again {
		close(rt.stop)
		rt.closeListeners(false)
		for _, l := range rt.all {
			l.send(task{run: func() { l.ending = true }}, 0)
		}
	}
	rt.loops.Wait()
	rt.closePool()
	rt.reserve.close()
	rt.unwatchLoads()
	return nil
}

func (rt *Runtime) closePollers() {
	for _, l := range rt.all {
		l.poller.Close()
	}
	rt.reserve.close()
	rt.unwatchLoads()
}

// finish ends what the loop still owns, and the loop. It runs on the loop's
// goroutine after the last turn.
func (l *loop) finish() {
	for l.slots.used > 0 {
		l.endAll()
	}
	l.mu.Lock()
	l.dead = true
	l.batch.tasks = append(l.batch.tasks, l.inbox.tasks...)
	l.inbox = inbox{}
	l.mu.Unlock()
	for len(l.batch.tasks) > 0 {
		l.lose(pop(&l.batch.tasks))
	}
	l.poller.Close()
}

// lose tells who left a task that it will not run.
func (l *loop) lose(t task) {
	defer l.rescue()
	if t.lost != nil {
		t.lost()
	}
}

// endAll drops every source; a Closed that panics ends it early.
func (l *loop) endAll() {
	defer l.rescue()
	l.slots.each(func(src source) {
		switch src := src.(type) {
		case *Conn:
			src.fail(ErrShutdown)
		case *acceptor:
			src.close()
			src.forget()
		case *dialing:
			src.fail(l, ErrShutdown)
		}
	})
}

// Shutdown drains: listeners accept what has reached their queue and are
// closed, handlers are told (ShutdownHandler) and connections without such a
// handler end as they become quiet. It returns nil when all have ended by
// themselves, or ctx's error after it has forced the rest. Connections on the
// blocking face are their owners' to end. The loops go on until Close.
func (rt *Runtime) Shutdown(ctx context.Context) error {
	rt.mu.Lock()
	if rt.closed {
		rt.mu.Unlock()
		return nil
	}
	first := !rt.draining
	rt.draining = true
	rt.mu.Unlock()
	if first {
		rt.seal()
	}
	select {
	case <-rt.empty:
		return nil
	case <-rt.stop:
		return ErrClosed
	case <-ctx.Done():
	}
	for _, l := range rt.all {
		l.send(task{run: l.endConns}, 0)
	}
	select {
	case <-rt.empty:
	case <-rt.stop:
	}
	return ctx.Err()
}

// seal is the start of Shutdown: nobody comes in any more, and who is in is told.
func (rt *Runtime) seal() {
	rt.closeListeners(true)
	rt.mu.Lock()
	rt.sealed = true // from here on none open means that all have ended
	rt.mu.Unlock()
	for _, l := range rt.all {
		l.send(task{run: l.startDrain}, 0)
	}
	rt.checkEmpty()
}

// startDrain tells every connection of the loop that the runtime shuts down.
func (l *loop) startDrain() {
	l.drain = true
	l.slots.each(func(src source) {
		switch src := src.(type) {
		case *Conn:
			l.tellShutdown(src)
		case *dialing:
			l.send(task{run: func() { src.fail(l, ErrShutdown) }}, 0)
		}
	})
}

func (l *loop) tellShutdown(c *Conn) {
	if c.block != nil || c.flags&(opened|gone|closing) != opened {
		return
	}
	if c.traits&hasShutdown == 0 {
		l.settle(c)
		return
	}
	// By post, so that a panic of one ends only that one.
	l.send(task{c: c, run: func() {
		if h, ok := c.handler.(ShutdownHandler); ok {
			h.Shutdown(c)
		}
	}}, 0)
}

// endConns forces what is left at the end of Shutdown.
func (l *loop) endConns() {
	l.slots.each(func(src source) {
		if c, ok := src.(*Conn); ok {
			c.CloseWith(ErrShutdown)
		}
	})
}

// join counts a connection about to be opened; the error says why there may be
// none.
func (rt *Runtime) join() error {
	if rt.conns.Add(1) > int64(rt.cfg.MaxConns) {
		rt.part()
		return ErrLimit
	}
	return nil
}

// part counts one that has ended or did not come to be.
func (rt *Runtime) part() {
	if rt.conns.Add(-1) == 0 {
		rt.checkEmpty()
	}
	if rt.parked.Load() > 0 {
		rt.unpark()
	}
}

// left is told of every connection that ends.
func (rt *Runtime) left(c *Conn) {
	if c.ln != nil {
		c.ln.leave(c.peer)
	}
	rt.part()
}

func (rt *Runtime) checkEmpty() {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if !rt.sealed || rt.conns.Load() > 0 {
		return
	}
	select {
	case <-rt.empty:
	default:
		close(rt.empty)
	}
}

func (rt *Runtime) isDraining() bool {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return rt.draining
}

// roundRobin and leastLoaded pick the loop of a new connection.
func (rt *Runtime) roundRobin() *loop {
	return rt.all[(rt.next.Add(1)-1)%uint32(len(rt.all))]
}

func (rt *Runtime) leastLoaded() *loop {
	best := rt.all[0]
	for _, l := range rt.all[1:] {
		if l.conns.Load() < best.conns.Load() {
			best = l
		}
	}
	return best
}

// ListenFD is a descriptor inherited by socket activation.
type ListenFD struct {
	FD   int
	Name string // from LISTEN_FDNAMES, if any
}

// reserve is a descriptor kept for the moment when there are none: given up for
// an instant, it lets a listener accept a connection and close it, so that the
// peer hears something.
type reserve struct {
	mu sync.Mutex
	fd int
}

func (r *reserve) open() (err error) {
	r.fd, err = sock.Reserve()
	return err
}

func (r *reserve) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd >= 0 {
		sock.Close(r.fd)
		r.fd = -1
	}
}

// lend closes the reserve while f runs and takes it back; false when it is not
// there.
func (r *reserve) lend(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd >= 0 {
		sock.Close(r.fd)
	}
	var err error
	if r.fd >= 0 {
		f()
	}
	if r.fd, err = sock.Reserve(); err != nil {
		r.fd = -1
		return false
	}
	return true
}
