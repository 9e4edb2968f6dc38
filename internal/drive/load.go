package drive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/conn"
)

// Load is an open set of connections to one server, ready to be measured in
// several windows. Measure and Close belong to one goroutine.
type Load struct {
	cfg     Config
	rt      *conn.Runtime
	pattern pattern
	base    time.Time // what now counts from

	clients  []client
	tallies  []tally // one for each loop of rt
	failures failures
	alive    atomic.Int64  // clients that still work
	changed  chan struct{} // an event: something that await may wait for has happened

	// Of the window; written while it is closed.
	began time.Duration
	ctx   context.Context // of dials
	stop  context.CancelCauseFunc
}

// client is one of Config.Conns: a peer or a churner. Its methods are called by
// the goroutine that measures.
type client interface {
	// begin starts the work of a window; in an open loop the n-th message of
	// the window is the client's first.
	begin(n int)

	// giveUp ends what is still under way, as an error.
	giveUp()

	// close ends the client, which has nothing under way.
	close()
}

// Open opens cfg.Conns connections, a bounded number at a time, and returns
// when each is open or has failed. In the mode Idle each has had its message
// echoed by then. Nothing else is sent until Measure. The error says that none
// could be opened, or that ctx ended.
func Open(ctx context.Context, rt *conn.Runtime, cfg Config) (*Load, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	l := &Load{
		cfg: cfg, rt: rt, base: time.Now(),
		pattern: newPattern(cfg.Seed, cfg.Size*cfg.Pipeline),
		tallies: make([]tally, len(rt.Stats().Loops)),
		changed: make(chan struct{}, 1),
		stop:    func(error) {},
	}
	for i := range l.tallies {
		l.tallies[i].take()
	}
	if cfg.Mode == Churn {
		l.clients = l.newChurners()
		return l, nil
	}
	if err := l.dial(ctx, l.newPeers()); err != nil {
		l.Close()
		return nil, err
	}
	if cfg.Mode == Idle {
		l.settle()
	}
	return l, nil
}

const (
	// dialsAtOnce is how many connects may be under way. A listener's queue is
	// longer by default; beyond it SYNs are dropped and tried again a second
	// later.
	dialsAtOnce = 128

	// openPatience is how long the opening of all connections may take.
	openPatience = 30 * time.Second
)

// dial connects the peers. Those that are open then are the clients.
func (l *Load) dial(ctx context.Context, peers []peer) error {
	ctx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	under := make(chan struct{}, dialsAtOnce)
	for i := 0; i < len(peers) && ctx.Err() == nil; i++ {
		p := &peers[i]
		under <- struct{}{} // ends: each connect does, with ctx at the latest
		l.alive.Add(1)
		err := conn.Dialer{Loop: i%len(l.tallies) + 1}.Start(ctx, l.rt, l.cfg.To,
			func(c *conn.Conn) conn.Handler { defer func() { <-under }(); return p.serve(c) },
			func(err error) { l.lost(err); <-under })
		if err != nil {
			l.lost(err)
			<-under
		}
	}
	for range cap(under) {
		under <- struct{}{} // all places taken: none is under way
	}
	for i := range peers {
		if peers[i].conn != nil {
			l.clients = append(l.clients, &peers[i])
		}
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("drive: %d of %d connections are open: %w", len(l.clients), len(peers), err)
	}
	return l.check()
}

// check returns an error when no client is left.
func (l *Load) check() error {
	if l.alive.Load() > 0 {
		return nil
	}
	return fmt.Errorf("drive: no connection to %v: %w", l.cfg.To, l.failures.example())
}

// Measure puts load on the server for d (0: until ctx ends) and returns what
// came of it. It ends early when ctx does or when no connection is left, which
// is no error: Result has what was measured until then.
func (l *Load) Measure(ctx context.Context, d time.Duration) (Result, error) {
	if err := l.check(); err != nil {
		return Result{}, err
	}
	r := Result{Conns: uint64(l.alive.Load())}
	l.openWindow()
	l.watch(ctx, d)
	l.closeWindow(&r)
	l.settle()
	l.collect(&r)
	return r, nil
}

// openWindow starts all clients.
func (l *Load) openWindow() {
	l.ctx, l.stop = context.WithCancelCause(context.Background())
	l.began = l.now()
	l.setOpen(true)
	if l.cfg.Mode == Idle {
		return
	}
	for n, c := range l.clients {
		c.begin(n)
	}
}

// watch waits until the window is over.
func (l *Load) watch(ctx context.Context, d time.Duration) {
	if d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d-(l.now()-l.began))
		defer cancel()
	}
	if l.cfg.Rate > 0 {
		defer l.pace()()
	}
	dead := func() bool { return l.alive.Load() == 0 }
	if l.cfg.Progress == nil {
		l.await(ctx, dead)
		return
	}
	for last := (Snapshot{}); ctx.Err() == nil && !dead(); {
		second, cancel := context.WithTimeout(ctx, time.Second)
		l.await(second, dead)
		cancel()
		last = l.snapshot(last)
		l.cfg.Progress(last)
	}
}

// snapshot adds up where the window stands.
func (l *Load) snapshot(last Snapshot) Snapshot {
	s := Snapshot{Elapsed: l.now() - l.began, Errors: l.failures.count()}
	for i := range l.tallies {
		t := &l.tallies[i]
		t.mu.Lock()
		s.Requests += t.figures.requests
		t.mu.Unlock()
	}
	s.Rate = float64(s.Requests-last.Requests) / (s.Elapsed - last.Elapsed).Seconds()
	return s
}

// closeWindow ends the sending.
func (l *Load) closeWindow(r *Result) {
	r.Elapsed = l.now() - l.began
	if l.cfg.Rate > 0 {
		r.Unsent = l.overdue(l.now())
	}
	l.setOpen(false)
}

// settle waits for what is under way, and gives up what doesn't come.
func (l *Load) settle() {
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Patience)
	defer cancel()
	if l.await(ctx, l.quiet) {
		return
	}
	l.stop(ErrStuck)
	for _, c := range l.clients {
		c.giveUp()
	}
	l.await(context.Background(), l.quiet) // ends: given up is closed
}

// collect adds up what the loops have counted.
func (l *Load) collect(r *Result) {
	var sent uint64
	for i := range l.tallies {
		f := l.tallies[i].take()
		sent += f.sent
		r.Requests += f.requests
		r.Latency.Merge(&f.latency)
		if l.cfg.Mode == Churn {
			r.Conns += f.conns
		}
	}
	size := uint64(l.cfg.Size)
	r.BytesOut, r.BytesIn = sent*size, r.Latency.Count()*size
	r.Rate = float64(r.Requests) / r.Elapsed.Seconds()
	l.failures.take(r)
	l.stop(nil)
}

// Close closes the connections and waits until they are.
func (l *Load) Close() {
	l.stop(context.Canceled)
	for _, c := range l.clients {
		c.close()
	}
	l.await(context.Background(), func() bool { return l.alive.Load() == 0 })
}

// await returns true when done does, false when ctx has ended before. Whoever
// changes what done looks at calls signal.
func (l *Load) await(ctx context.Context, done func() bool) bool {
	for !done() {
		select {
		case <-l.changed:
		case <-ctx.Done():
			return done()
		}
	}
	return true
}

func (l *Load) signal() {
	select {
	case l.changed <- struct{}{}:
	default: // await is going to look anyway
	}
}

// lost is called when a client ends, by itself or by close.
func (l *Load) lost(err error) {
	if err != nil {
		l.fail(err)
	}
	l.leave()
}

// leave takes a client off those that are there.
func (l *Load) leave() {
	l.alive.Add(-1)
	l.signal()
}

// fail counts what went wrong on a connection.
func (l *Load) fail(err error) {
	if err == io.EOF {
		err = ErrEnded
	}
	l.failures.add(err, errors.Is(err, ErrMismatch))
}

// now is a clock that costs one reading of the monotonic clock.
func (l *Load) now() time.Duration { return time.Since(l.base) }

func (l *Load) setOpen(open bool) {
	for i := range l.tallies {
		t := &l.tallies[i]
		t.mu.Lock()
		t.open = open
		t.mu.Unlock()
	}
}

// quiet reports whether nothing is under way.
func (l *Load) quiet() bool {
	for i := range l.tallies {
		t := &l.tallies[i]
		t.mu.Lock()
		out := t.out
		t.mu.Unlock()
		if out > 0 {
			return false
		}
	}
	return true
}
