package conn

import (
	"io"
	"os"
	"sync"
	"syscall"

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
	l.heap.Stop(&c.timer)
	c.mu.Lock()
	if len(l.stage) > 0 && c.inside() {
		c.flushStage(false)
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

// Read reads up to len(p) bytes and waits until there is at least one. io.EOF
// is the peer's end of stream, os.ErrDeadlineExceeded a deadline, ErrClosed a
// Close. p is the caller's throughout.
func (b *Blocking) Read(p []byte) (int, error) {
	b.rmu.Lock()
	n, err := b.read(p)
	b.rmu.Unlock()
	return n, err
}

func (b *Blocking) read(p []byte) (int, error) {
	if !b.users.enter() {
		return 0, ErrClosed
	}
	defer b.leave()
	if len(p) == 0 {
		return 0, nil // as package net: nothing to wait for
	}
	for {
		if err := b.await(&b.r); err != nil {
			return 0, err
		}
		if n, err := b.try(p); n > 0 || err != nil {
			return n, err
		}
	}
}

// try reads once: 0, nil when there was nothing after all.
func (b *Blocking) try(p []byte) (int, error) {
	if len(b.prefix) > 0 {
		return b.takePrefix(p), nil
	}
	// Cleared before the read: an edge from here on is for the next one.
	b.r.clear(edge)
	n, errno := sock.Recv(b.fd, p)
	switch {
	case n > 0:
		if n >= min(len(p), sock.MaxIO) {
			b.r.set(edge) // there may be more
		}
		return n, nil
	case errno == 0:
		b.r.set(edge) // the end stays the end
		return 0, io.EOF
	case errno == syscall.EAGAIN:
		b.doubt()
		return 0, nil
	default:
		b.r.set(edge)
		return 0, os.NewSyscallError("recv", errno)
	}
}

// await waits until a system call makes sense, or says why none does. With
// bytes in the prefix a read always does.
func (b *Blocking) await(g *gate) error {
	for {
		s := g.state.Load()
		switch {
		case s&shutGate != 0:
			return ErrClosed
		case s&expired != 0:
			return os.ErrDeadlineExceeded
		case s&(edge|over) != 0 || g == &b.r && len(b.prefix) > 0:
			return nil
		}
		g.wait()
	}
}

func (b *Blocking) takePrefix(p []byte) int {
	n := copy(p, b.prefix)
	if b.prefix = b.prefix[n:]; len(b.prefix) == 0 {
		b.prefix = nil
	}
	return n
}

// WaitRead waits until Read would not: bytes are there, or an end. It costs a
// system call more than Read alone; ReadPooled does not.
func (b *Blocking) WaitRead() error {
	b.rmu.Lock()
	defer b.rmu.Unlock()
	if !b.users.enter() {
		return ErrClosed
	}
	defer b.leave()
	for {
		if err := b.await(&b.r); err != nil || len(b.prefix) > 0 {
			return err
		}
		if b.r.state.Load()&over != 0 {
			return nil // looking would take the error that is Read's to return
		}
		b.r.clear(edge)
		if sock.Waiting(b.fd) { // an edge is a hint: its bytes may have been read by then
			b.r.set(edge)
			return nil
		}
		b.doubt()
	}
}

// doubt is what a hangup leads to that is reported although nothing is there to
// read: left to stand it would make readers spin. It may also have come since
// they looked, with the last edge that there will be; so look again after it is
// taken back.
func (b *Blocking) doubt() {
	if b.r.state.Load()&over == 0 {
		return
	}
	b.r.clear(over)
	if sock.Waiting(b.fd) {
		b.r.set(edge | over)
	}
}

// ReadPooled reads as Read does, into a buffer that it takes from pool when
// bytes are there and not before, so that a connection which waits holds none.
// The bytes are the caller's until it gives the buffer back, by pool.Put(p) or
// with any other slice of the same start. With an error there is no buffer.
func (b *Blocking) ReadPooled(pool Buffers) (p []byte, err error) {
	b.rmu.Lock()
	p, err = b.readPooled(pool)
	b.rmu.Unlock()
	return p, err
}

func (b *Blocking) readPooled(pool Buffers) ([]byte, error) {
	if !b.users.enter() {
		return nil, ErrClosed
	}
	defer b.leave()
	for {
		if err := b.await(&b.r); err != nil {
			return nil, err
		}
		p := pool.Get()
		n, err := b.try(p)
		if n > 0 {
			return p[:n], nil
		}
		pool.Put(p)
		if err != nil {
			return nil, err
		}
	}
}

// Unread gives bytes back: the next Read sees them first. They are copied. After
// Close or Callback it does nothing.
func (b *Blocking) Unread(p []byte) {
	b.rmu.Lock()
	defer b.rmu.Unlock()
	if !b.users.enter() { // on the way to the other face the loop has the prefix
		return
	}
	defer b.leave()
	b.prefix = append(append(make([]byte, 0, len(p)+len(b.prefix)), p...), b.prefix...)
	b.r.wake(edge)
}

// Write writes all of p and waits as long as the peer lets it. n < len(p) only
// with an error.
func (b *Blocking) Write(p []byte) (int, error) {
	b.wmu.Lock()
	n, err := b.write(p)
	b.wmu.Unlock()
	return n, err
}

func (b *Blocking) write(p []byte) (int, error) {
	if !b.users.enter() {
		return 0, ErrClosed
	}
	defer b.leave()
	done := 0
	for {
		if s := b.w.state.Load(); s&(shutGate|expired) != 0 {
			if err := b.await(&b.w); err != nil {
				return done, err
			}
		}
		if b.c.pending.Load() > 0 { // accepted on the callback face, not sent yet
			if err := b.awaitFlushed(); err != nil {
				return done, err
			}
		}
		if done == len(p) {
			return done, nil
		}
		n, errno := sock.Send(b.fd, p[done:])
		if errno == syscall.EAGAIN {
			n, errno = b.retry(p[done:])
		}
		switch errno {
		case 0:
			if done += n; done == len(p) {
				return done, nil
			}
		case syscall.EAGAIN:
			if err := b.await(&b.w); err != nil {
				return done, err
			}
		default:
			return done, os.NewSyscallError("send", errno)
		}
	}
}

// retry sends once more after the edge has been cleared: room that was made
// between the EAGAIN before and the clearing has spent its edge.
func (b *Blocking) retry(p []byte) (int, syscall.Errno) {
	b.w.clear(edge)
	return sock.Send(b.fd, p)
}

// awaitFlushed waits until the loop has sent what was accepted before Block.
func (b *Blocking) awaitFlushed() error {
	for b.c.pending.Load() > 0 {
		b.w.clear(edge)
		b.c.ask(askDrained)
		if b.c.pending.Load() == 0 {
			break
		}
		if err := b.await(&b.w); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the connection: calls in flight end with ErrClosed, the
// descriptor is closed when the last of them has. It never waits for the peer:
// output that was accepted on the callback face and is still pending is dropped;
// CloseWrite, and any Write, waits until that has been sent.
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

// Control calls f with the descriptor, which is open as long as f runs.
func (b *Blocking) Control(f func(fd uintptr)) error {
	if !b.users.enter() {
		return ErrClosed
	}
	defer b.leave()
	f(uintptr(b.fd))
	return nil
}

// RawRead calls f with the descriptor until it returns true; when it returns
// false, RawRead waits until the socket is readable. f must not block.
func (b *Blocking) RawRead(f func(fd uintptr) (done bool)) error {
	b.rmu.Lock()
	defer b.rmu.Unlock()
	return b.raw(&b.r, f)
}

// RawWrite does the same for writing.
func (b *Blocking) RawWrite(f func(fd uintptr) (done bool)) error {
	b.wmu.Lock()
	defer b.wmu.Unlock()
	if !b.users.enter() {
		return ErrClosed
	}
	defer b.leave()
	if err := b.awaitFlushed(); err != nil {
		return err
	}
	return b.raw(&b.w, f)
}

func (b *Blocking) raw(g *gate, f func(fd uintptr) bool) error {
	if !b.users.enter() {
		return ErrClosed
	}
	defer b.leave()
	for {
		if s := g.state.Load(); s&(shutGate|expired) == 0 {
			was := g.state.And(^(edge | over))
			if f(uintptr(b.fd)) {
				g.set(edge | was&over) // a hangup is reported once
				return nil
			}
		}
		if err := b.await(g); err != nil {
			return err
		}
	}
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
	sock.Close(b.fd)
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
