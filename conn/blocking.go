package conn

import (
	"sync"

	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/poller"
	"github.com/weir-go/weir/timer"
)

// Blocking is a connection's socket for goroutines that wait. Reads and writes
// are system calls on the caller's goroutine, straight into and out of the
// caller's buffer; the loop only says when trying again makes sense, and keeps
// the deadlines. Any goroutine may call anything; of several readers, or
// writers, one is let through at a time.
//
//	caller   Read ─► recv ─► EAGAIN ─► wait ┐        ┌─► recv ─► bytes
//	loop                                    └─ edge ─┘
//	                                           deadline ─► os.ErrDeadlineExceeded
//	                                           Close ────► ErrClosed
type Blocking struct {
	c      *Conn
	fd     int
	r, w   gate
	rmu    sync.Mutex // one reader
	wmu    sync.Mutex // one writer
	users  users
	prefix []byte  // bytes the next Read sees first; guarded by rmu
	next   Handler // Callback: who takes over

	// Deadlines. dmu orders setting them with their expiry.
	dmu   sync.Mutex
	armed timer.Time // what the loop's timer is set to; 0: not set
}

// Block takes the connection over for goroutines that wait. It belongs to the
// Blocking from here: the handler gets no further call, not even Closed.
// Unconsumed bytes go along. Loop only: in Serve or a callback.
func (c *Conn) Block() *Blocking {
	c.loop.check()
	if c.block != nil {
		return c.block
	}
	l := c.loop
	b := &Blocking{c: c, fd: c.fd}
	b.prefix = append(b.prefix, c.Peek()...)
	if l.viewer == c {
		l.view = nil
	}
	c.releaseLeft()
	if c.flags&(readable|ended) != 0 {
		b.r.set(edge)
	}
	b.w.set(edge) // until a send says otherwise
	if c.flags&hungUp != 0 {
		b.r.set(over)
	}
	l.lingersNot(c)
	l.heap.Stop(&c.timer)
	c.mu.Lock()
	if len(l.stage) > 0 && c.inside() {
		c.flushStage(false)
	}
	if c.cause != nil { // accepted bytes are lost: what is written behind them must not arrive
		b.w.set(shutGate)
	}
	c.block = b
	c.mu.Unlock()
	l.handed++
	return b
}

// ready passes the kernel's news on to who waits. On the loop.
func (b *Blocking) ready(l *loop, r poller.Ready) {
	if r.Has(poller.Writable) && b.c.pending.Load() > 0 {
		l.flush(b.c)
	}
	if r.Has(poller.Readable | poller.Hangup | poller.Failed) {
		what := edge
		if r.Has(poller.Hangup | poller.Failed) {
			what |= over
		}
		if b.r.wake(what) {
			l.handed++
		}
	}
	if r.Has(poller.Writable|poller.Failed) && b.w.wake(edge) {
		l.handed++
	}
}

// Close closes the connection: calls in flight end with ErrClosed, the
// descriptor is closed when the last of them has. It never waits for the peer:
// output that was accepted on the callback face and is still pending is dropped;
// CloseWrite, and any Write, waits until that has been sent. Nor does it linger
// as Conn.Close does: a goroutine that can wait has CloseWrite and Read for
// that, and the callers of a net.Conn count on a Close that does not.
func (b *Blocking) Close() error {
	if !b.users.close() {
		return ErrClosed
	}
	b.wake(shutGate)
	b.c.mu.Lock()
	b.c.fd = -1 // the last user closes it, which may be before the loop hears of it
	b.c.mu.Unlock()
	b.c.CloseWith(nil)
	b.leave() // the owner's share
	return nil
}

// Abort closes the connection with a reset.
func (b *Blocking) Abort() error {
	b.Control(func(fd uintptr) { sock.SetLinger(int(fd), 0) })
	b.c.loop.rt.aborts.Add(1)
	return b.Close()
}

// CloseWrite sends the end of stream; reading goes on. It waits for a Write in
// flight.
func (b *Blocking) CloseWrite() error {
	b.wmu.Lock()
	defer b.wmu.Unlock()
	if !b.users.enter() {
		return ErrClosed
	}
	defer b.leave()
	if err := b.awaitFlushed(); err != nil {
		return err
	}
	if b.w.state.Load()&shutGate != 0 {
		return ErrClosed // they were dropped: an end would tell the peer that it has all
	}
	return sock.ShutdownWrite(b.fd)
}

// CloseRead tells the kernel that nothing more will be read; see
// Conn.CloseRead.
func (b *Blocking) CloseRead() error {
	var err error
	if e := b.Control(func(fd uintptr) { err = sock.ShutdownRead(int(fd)) }); e != nil {
		return e
	}
	return err
}

// Local returns the address of this end, Remote the peer's.
func (b *Blocking) Local() Addr {
	var a sock.Addr
	b.Control(func(fd uintptr) { a, _ = sock.LocalAddr(int(fd)) })
	return Addr(a)
}

// Remote returns the peer's address.
func (b *Blocking) Remote() Addr {
	if b.c.peer.IsValid() {
		return Addr(b.c.peer.Addr())
	}
	var a sock.Addr
	b.Control(func(fd uintptr) { a, _ = sock.RemoteAddr(int(fd)) })
	return Addr(a)
}

// Conn returns the connection, for its ID and Loop.
func (b *Blocking) Conn() *Conn { return b.c }

// wake wakes both directions.
func (b *Blocking) wake(what uint32) {
	b.r.wake(what)
	b.w.wake(what)
}

// leave ends a use of the descriptor; the last one after Close closes it.
func (b *Blocking) leave() {
	if b.users.leave() {
		b.closeFD()
	}
}

func (b *Blocking) closeFD() {
	if b.c.adopted {
		b.c.loop.poller.Remove(b.fd)
	}
	b.c.loop.rt.closeFD(b.fd, b.c.class)
}

// orphan is the end from the loop's side: after Close, by force when the
// runtime ends, or on the way back to the callback face.
func (b *Blocking) orphan() {
	switch {
	case b.users.close():
		b.wake(shutGate)
		b.leave()
	case b.users.retired():
		b.closeFD()
	}
}
