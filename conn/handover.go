package conn

import (
	"os"
	"sync"

	"github.com/weir-go/weir/internal/sock"
)

// A listening socket can outlive its process: another one has a descriptor of the
// same open socket, and with it the queue of connections that nobody has accepted.
//
//	Dups ─► the other process ─► AdoptAll ─► accepts
//	                                            ▼
//	Leave ◄──────────────────────────────── has said so
//
// Both accept for a while; a connection goes to one of them. Nobody is refused and
// nothing is lost, if all sockets of the listener are handed over: each of those
// that share a port (PerLoop) has a queue of its own.

// AdoptAll listens on descriptors that listen already, all on one address: those
// of another process's Listener (see Dups), or of socket activation. They are the
// runtime's from here, also when AdoptAll fails. With PerLoop each keeps to its
// loop if there are as many as loops at least; otherwise it is RoundRobin. A Unix
// socket's file stays when the Listener is closed: it is somebody else's.
func (lc ListenConfig) AdoptAll(rt *Runtime, fds []int, serve Serve) (*Listener, error) {
	ln := lc.listener(rt, serve)
	ln.options = true
	ln.kept.Store(true)
	if len(fds) < len(rt.all) && ln.balance == PerLoop {
		ln.balance = RoundRobin
	}
	err := os.NewSyscallError("accept", errNotListening)
	for _, fd := range fds {
		if err = prepare(fd); err != nil {
			break
		}
	}
	if err == nil {
		ln.addr, err = sock.LocalAddr(fds[0])
	}
	if err != nil {
		closeAll(fds)
		return nil, err
	}
	if err := ln.start(fds); err != nil {
		return nil, err
	}
	return ln, nil
}

// prepare makes an inherited descriptor one that a loop can accept from.
func prepare(fd int) error {
	sock.SetCloseOnExec(fd)
	if err := sock.SetNonblock(fd); err != nil {
		return err
	}
	listening, err := sock.IsListening(fd)
	if err == nil && !listening {
		err = os.NewSyscallError("accept", errNotListening)
	}
	return err
}

// Dups returns a duplicate of each of the listener's sockets, to hand to another
// process; they are the caller's. Unlike after Dup, Close is as it was: who has
// handed them over says so with Leave. ErrClosed after Close. Any goroutine.
func (ln *Listener) Dups() (fds []int, err error) {
	for _, a := range ln.accepts {
		fd, err := a.dup()
		if err != nil {
			closeAll(fds)
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func (a *acceptor) dup() (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fd < 0 {
		return -1, ErrClosed
	}
	return sock.Dup(a.fd)
}

// Leave stops accepting because another process does it now: what waits in the
// sockets' queues, and a Unix socket's file, are that one's. Connections that are
// on their way to a loop arrive; Done stays open until Close. Any goroutine.
func (ln *Listener) Leave() {
	ln.kept.Store(true)
	ln.stop()
}

// Drain is Close after what had reached the kernel's queue is accepted, so that
// nobody who was connected is reset, and after its Serve has been asked about all
// that was. After Leave there is only the latter to be waited for. It waits for the
// loops: never call it from a callback.
func (ln *Listener) Drain() {
	ln.drainQueue()
	ln.rt.arrive()
	ln.Close()
}

// arrive returns when connections that have been dealt to loops are there.
func (rt *Runtime) arrive() {
	var there sync.WaitGroup
	for _, l := range rt.all {
		there.Add(1)
		if l.send(task{run: there.Done, lost: there.Done}, 0) != nil {
			there.Done()
		}
	}
	there.Wait()
}
