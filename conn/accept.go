package conn

import (
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/poller"
	"github.com/weir-go/weir/timer"
)

// acceptor is one listening socket on its loop.
//
// When the process has no descriptors or no memory left, or Config.Bounds lets
// no connection in, it neither ends nor spins: it answers what waits with the reserve descriptor, parks, and tries
// again after 5 ms, doubling up to 800, or as soon as a connection of the
// runtime ends.
type acceptor struct {
	ln    *Listener
	loop  *loop
	token poller.Token

	// Owned by the loop.
	backoff time.Duration // 0: not parked
	retry   timer.Timer
	queued  bool       // accept is posted to go on in the next turn
	told    int        // connections that had their farewell, since the last rest
	rest    timer.Time // none has before that
	ended   bool       // by forget: it accepts no more, and does not wait for room to

	mu sync.Mutex // guards fd against Close while it is used
	fd int        // -1 once closed
}

const (
	acceptBudget = 64      // connections taken before others have their turn
	drainMax     = 1 << 16 // connections taken when a listener drains: no queue is longer
	backoffMin   = 5 * time.Millisecond
	backoffMax   = 800 * time.Millisecond // a second after descriptors came free, peers are served
)

// begin registers the socket. On the loop.
func (a *acceptor) begin() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fd < 0 {
		return ErrClosed
	}
	a.retry.Init(timer.Func(func(timer.Time) { a.accept(a.loop) }))
	a.token = a.loop.slots.add(a)
	return a.loop.watch(a.fd, a.token)
}

// close closes the socket. Any goroutine.
func (a *acceptor) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fd >= 0 {
		a.loop.poller.Remove(a.fd) // another process may go on listening on it
		sock.Close(a.fd)
		a.fd = -1
	}
}

// forget gives the slot back after close. On the loop.
func (a *acceptor) forget() {
	a.ended = true
	a.loop.slots.remove(a.token)
	a.loop.heap.Stop(&a.retry)
	a.unparked()
}

func (a *acceptor) ready(l *loop, r poller.Ready) {
	if r.Has(poller.Readable) && a.backoff == 0 {
		a.accept(l)
	}
}

// accept takes connections until there are none, the turn's share is used up,
// or it has to park. It goes on in the next turn when more may wait, also
// behind one whose Serve panicked: their edge was this one.
func (a *acceptor) accept(l *loop) {
	a.queued = false
	done := false
	defer func() {
		if !done && !a.queued {
			a.queued = true
			l.send(task{run: func() { a.accept(l) }}, 0)
		}
	}()
	for range acceptBudget {
		if done = !a.one(l); done {
			return
		}
	}
}

// one takes one connection; false when that was all for now.
func (a *acceptor) one(l *loop) bool {
	if a.ended {
		return false
	}
	class := a.ln.class
	if err := a.ln.rt.take(class); err != nil {
		return a.bounded(l, err)
	}
	fd, peer, more := a.take(l, class)
	if fd >= 0 {
		a.deal(l, fd, peer, class)
	}
	return more
}

// take accepts a connection whose descriptor is counted; fd is negative when
// there is none, and the descriptor given back.
func (a *acceptor) take(l *loop, class bounds.Class) (fd int, peer sock.Peer, more bool) {
	a.mu.Lock()
	if a.fd < 0 {
		a.mu.Unlock()
		a.ln.rt.give(class)
		return -1, peer, false
	}
	fd, errno := sock.Accept(a.fd, &peer)
	a.mu.Unlock()
	if errno != 0 {
		a.ln.rt.give(class)
		return -1, peer, a.failed(l, errno)
	}
	a.unparked()
	return fd, peer, true
}

// failed does what an error of accept(2) asks for; true when the next attempt
// may be made at once.
func (a *acceptor) failed(l *loop, errno syscall.Errno) bool {
	switch errno {
	case syscall.EAGAIN:
		a.unparked()
		return false
	case syscall.EMFILE, syscall.ENFILE:
		l.count.refFDs++
		a.ln.rt.wanted(errno)
		a.ln.refused(os.NewSyscallError("accept", errno))
		a.answer(l)
		a.park(l)
		return false
	case syscall.ENOBUFS, syscall.ENOMEM:
		l.count.refMemory++
		a.ln.rt.wanted(errno)
		a.ln.refused(os.NewSyscallError("accept", errno))
		a.park(l)
		return false
	}
	l.count.refs++
	a.ln.refused(os.NewSyscallError("accept", errno))
	if passing(errno) {
		return true
	}
	a.park(l) // whatever it is: neither an end nor a spin
	return false
}

// passing reports whether an error of accept(2) concerns one connection, which
// is gone, and not the listener. The list is accept(2)'s "Error handling".
func passing(errno syscall.Errno) bool {
	switch errno {
	case syscall.ECONNABORTED, syscall.EINTR, syscall.EPROTO, syscall.ENETDOWN, syscall.ENOPROTOOPT,
		syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.EOPNOTSUPP, syscall.ENETUNREACH, syscall.ECONNRESET:
		return true
	}
	return false
}

// deal gives an accepted socket to a loop.
func (a *acceptor) deal(l *loop, fd int, peer sock.Peer, class bounds.Class) {
	ln := a.ln
	if err := ln.enter(peer, l.now); err != nil {
		l.count.refGuard++
		ln.rt.closeFD(fd, class)
		a.ln.refused(err)
		return
	}
	if n := ln.open.Add(1); ln.max > 0 && n > ln.max || ln.rt.join() != nil {
		ln.leave(peer)
		l.count.refLimit++
		ln.rt.closeFD(fd, class)
		a.ln.refused(ErrLimit)
		return
	}
	if class != bounds.Farewell {
		ln.accepted.Add(1)
		l.count.accepted++
	}
	to := l
	switch ln.balance {
	case RoundRobin:
		to = ln.rt.roundRobin()
	case LeastLoaded:
		to = ln.rt.leastLoaded()
	}
	to.conns.Add(1)
	if to == l {
		ln.adopt(l, fd, peer, class)
		return
	}
	lost := func() {
		ln.rt.closeFD(fd, class)
		to.conns.Add(-1)
		ln.leave(peer)
		ln.rt.part()
	}
	if to.send(task{run: func() { ln.adopt(to, fd, peer, class) }, lost: lost}, 0) != nil {
		l.count.refShutdown++
		lost()
		ln.refused(ErrShutdown)
	}
}

// adopt makes a connection of an accepted socket. On its loop.
func (ln *Listener) adopt(l *loop, fd int, peer sock.Peer, class bounds.Class) {
	if ln.options && !ln.addr.IsUnix() {
		setOptions(fd, &ln.set.Options)
	}
	serve, set := ln.serve, ln.set
	if class == bounds.Farewell {
		serve, set = ln.farewell, ln.lastSet
	}
	c := newConn(l, fd, class, peer, set)
	c.ln = ln
	l.open(c, serve)
}

// park waits for descriptors or memory, longer each time.
func (a *acceptor) park(l *loop) {
	pause := min(max(2*a.backoff, backoffMin), backoffMax)
	a.parkUntil(l, l.now.Add(pause), pause)
}

func (a *acceptor) parkUntil(l *loop, when timer.Time, backoff time.Duration) {
	if a.backoff == 0 {
		a.ln.rt.parked.Add(1)
	}
	a.backoff = backoff
	l.heap.Set(&a.retry, when)
}

func (a *acceptor) unparked() {
	if a.backoff != 0 {
		a.backoff = 0
		a.loop.heap.Stop(&a.retry)
		a.ln.rt.parked.Add(-1)
	}
}

// answer uses the reserve descriptor to accept and close what waits, so that
// the peers hear something.
func (a *acceptor) answer(l *loop) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range acceptBudget {
		errno := syscall.EBADF
		a.ln.rt.reserve.lend(func() {
			var fd int
			if a.fd >= 0 {
				if fd, errno = sock.Accept(a.fd, nil); errno == 0 {
					sock.SetLinger(fd, 0)
					sock.Close(fd)
				}
			}
		})
		if errno != 0 {
			return
		}
	}
}

// unpark lets parked listeners try again, because a descriptor came free.
func (rt *Runtime) unpark() {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for ln := range rt.listeners {
		for _, a := range ln.accepts {
			a.loop.send(task{run: func() {
				if a.backoff != 0 && !a.queued {
					a.accept(a.loop)
				}
			}}, 0)
		}
	}
}

// drainQueue accepts what has reached the kernel's queue, so that no peer that
// was connected already is reset by Close. It returns when the loops have done
// it.
func (ln *Listener) drainQueue() {
	var done sync.WaitGroup
	for _, a := range ln.accepts {
		done.Add(1)
		once := sync.OnceFunc(done.Done)
		a.drain(once)
	}
	done.Wait()
}

// drain has the loop empty the queue, as far as drainMax goes, and calls done.
// Any goroutine.
func (a *acceptor) drain(done func()) {
	err := a.loop.send(task{lost: done, run: func() {
		finished := false
		defer func() {
			if finished {
				done()
			} else {
				a.drain(done) // a Serve panicked: go on behind it
			}
		}()
		for n := 0; n < drainMax && a.backoff == 0 && a.one(a.loop); n++ {
		}
		finished = true
	}}, 0)
	if err != nil {
		done()
	}
}
