package conn

import (
	"io"

	"github.com/weir-go/weir/internal/sock"
)

// Close sends what is pending and closes the connection so that the peer can
// hear it; Closed follows with a nil error. No Data and no write after it.
// Flushing may take Config.CloseTimeout; then, or when the socket fails, the
// connection is aborted. Closing again does nothing.
//
// A socket that is closed while its peer still sends answers with a reset, which
// destroys output that was accepted but is still on its way. So Close lingers:
// it sends the end of our stream and throws input away until the peer has ended
// its own, for CloseTimeout at most, counted from the flush, and for
// Config.LingerBytes; then the socket is closed whatever happens, Closed still
// with nil. It is closed at once, or sooner than that, when nothing is at stake:
// when the peer's end has been read, when nothing was ever sent, or when no
// input is unread, all output is acknowledged by the peer's TCP, and for half a
// second nothing has been on the way. (Only Linux tells; elsewhere TCP
// connections that have sent something linger. On Unix sockets nothing is ever
// on its way: only unread input makes them linger.)
//
// A peer that resets the connection meanwhile is the cause that Closed is given.
// While it lingers a connection counts as open; CloseWith and Abort end it. At
// most Config.LingerConns do.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.block != nil {
		c.mu.Unlock()
		return ErrBlocking
	}
	if c.shut&shutDown == 0 {
		c.shut |= shutWrite
	}
	c.mu.Unlock()
	c.ask(askClose)
	return nil
}

// CloseWith ends the connection at once, without flushing or lingering; Closed
// follows with err as the cause, unless there was one before.
func (c *Conn) CloseWith(err error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = err
	}
	c.shut |= shutWrite
	c.mu.Unlock()
	c.ask(askDrop)
}

// Abort ends the connection at once: TCP sends a reset, and what either side
// has not read is lost. Closed follows with ErrClosed.
func (c *Conn) Abort() error {
	c.withFD(func(fd int) { sock.SetLinger(fd, 0) })
	c.loop.rt.aborts.Add(1)
	c.CloseWith(ErrClosed)
	return nil
}

// CloseWrite sends what is pending and then the end of stream. Reading goes on.
func (c *Conn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut&(shutDown|shutWrite) != 0 {
		return ErrClosed
	}
	c.shut |= shutWrite | finAsked
	if c.inside() && len(c.loop.stage) > 0 {
		return nil // flushStage comes to it
	}
	return c.push()
}

// CloseRead tells the kernel that nothing more will be read. Its effect on the
// peer differs between systems: on Linux none, for TCP. Data already here is
// still shown.
func (c *Conn) CloseRead() error {
	var err error
	if !c.withFD(func(fd int) { err = sock.ShutdownRead(fd) }) {
		return ErrClosed
	}
	return err
}

// fail ends c with err as the cause, unless there was one before. On the loop.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = err
	}
	c.mu.Unlock()
	c.loop.drop(c)
}

// failed fetches the error that the kernel has reported and ends c with it.
func (c *Conn) failed(l *loop) {
	if err := sock.TakeError(c.fd); err != nil {
		c.fail(err)
	}
}

// close is Close on the loop.
func (l *loop) close(c *Conn) {
	if c.flags&(closing|gone) != 0 {
		return
	}
	if c.block != nil { // Close came before Block
		l.drop(c)
		return
	}
	c.flags |= closing
	c.releaseLeft()
	if c.pending.Load() > 0 {
		c.watched().closeBy = l.now.Add(l.rt.cfg.CloseTimeout)
		c.arm()
		l.flush(c) // comes back to settle
		return
	}
	l.conclude(c, c.hush())
}

// settle ends a connection that was waiting for its output to be flushed, or to
// become quiet, when it is. On the loop, after everything that may have made it
// so.
func (l *loop) settle(c *Conn) {
	if c.flags&gone != 0 || c.block != nil || c.pending.Load() > 0 {
		return
	}
	switch {
	case c.flags&closing != 0:
		l.conclude(c, c.hush())
	case c.work > 0:
	case c.flags&endAfter != 0:
		c.fail(io.EOF)
	case l.drain && l.quiet(c):
		l.again(c) // for lastLook
	}
}

// quiet reports whether a connection may be ended by Shutdown as far as this
// side knows.
func (l *loop) quiet(c *Conn) bool {
	return c.flags&(opened|gone|closing) == opened && c.traits&hasShutdown == 0 && c.block == nil &&
		c.left == nil && c.work == 0 && c.pending.Load() == 0 && !c.paused.Load()
}

// lastLook ends a quiet connection unless the kernel holds bytes of it.
func (l *loop) lastLook(c *Conn) {
	if !l.quiet(c) {
		l.fill(c)
		return
	}
	c.flags |= readable
	before := c.received
	l.fill(c)
	if c.received == before && l.quiet(c) {
		l.retire(c)
	}
}

// retire is the Close of a quiet connection by Shutdown, which lingers only as
// long as output is not acknowledged: peers that keep idle connections often do
// not look at them. One that somebody has just written to is not quiet: it is
// looked at again when that is flushed.
func (l *loop) retire(c *Conn) {
	c.mu.Lock()
	busy := c.pending.Load() > 0
	if !busy {
		c.shut |= shutWrite
		if c.cause == nil {
			c.cause = ErrShutdown
		}
	}
	c.mu.Unlock()
	if !busy {
		c.flags |= closing
		l.conclude(c, 0)
	}
}

// flush sends queued bytes, calls Drained when that made room, and ends the
// connection when that is what it was waiting for. On the loop.
func (l *loop) flush(c *Conn) {
	l.check()
	c.mu.Lock()
	c.dirty = false
	if c.shut&shutDown != 0 {
		c.mu.Unlock()
		return
	}
	err := c.push()
	drained := err == nil && c.drainable()
	if drained {
		c.wanting = false
	}
	c.mu.Unlock()
	switch {
	case err != nil:
		l.drop(c)
		return
	case c.block != nil:
		if c.pending.Load() == 0 && c.block.w.wake(edge) {
			l.handed++
		}
		return
	}
	if drained && c.traits&hasDrained != 0 && c.flags&(closing|opened) == opened && c.asks.Load()&(askClose|askDrop) == 0 {
		l.enter(c)
		c.handler.(Drainer).Drained(c)
		l.leave(c)
		l.resume(c)
	}
	l.settle(c)
}

// drop is the only place that ends a connection. Its slot's generation moves on
// before the descriptor is closed, so that no event finds it any more; writers
// find it shut under its mu. Closed is the last call.
func (l *loop) drop(c *Conn) {
	l.check()
	if c.flags&gone != 0 {
		return
	}
	c.flags |= gone
	l.lingersNot(c)
	if c.adopted && c.block == nil {
		l.poller.Remove(c.fd) // another process may hold the socket open: the kernel would go on reporting
	}
	l.slots.remove(c.token)
	l.heap.Stop(&c.timer)
	c.releaseLeft()
	c.mu.Lock()
	fd, cause := c.fd, c.cause
	c.fd = -1
	c.shut |= shutWrite | shutDown
	if c.out != nil {
		if b := c.block; b != nil {
			b.w.wake(shutGate) // before pending says that it may write: these bytes will not arrive
		}
		l.rt.budget.give(c.out.Held())
		c.out.Release()
		c.out = nil
		c.pending.Store(0)
	}
	if b := c.block; b != nil {
		if b.users.retired() {
			c.setHandler(b.next) // on its way back: the new handler is owed its Closed
			c.flags |= opened
			c.block = nil
		}
		b.orphan() // its last user closes the descriptor
	} else {
		l.rt.closeFD(fd, c.class)
	}
	c.mu.Unlock()
	l.conns.Add(-1)
	l.rt.left(c)
	if c.flags&begun != 0 {
		l.count.closed++
		if t := l.rt.cfg.Trace; t != nil && t.Closed != nil {
			t.Closed(c, cause)
		}
	}
	if c.flags&opened != 0 && c.handler != nil && c.block == nil {
		l.enter(c)
		c.handler.Closed(c, cause)
		l.leave(c)
	}
	c.handler = nil
}

// Detach hands the descriptor out: it is the caller's from here, non-blocking,
// in no poller, with left the bytes that were read but not consumed. Closed is
// not called. ErrPending when accepted bytes are not flushed yet. Loop only.
func (c *Conn) Detach() (fd int, left []byte, err error) {
	c.loop.check()
	l := c.loop
	c.mu.Lock()
	if c.shut&shutDown != 0 || c.block != nil || c.flags&lingering != 0 {
		c.mu.Unlock()
		return -1, nil, ErrClosed
	}
	if len(l.stage) > 0 && c.inside() {
		if err := c.flushStage(false); err != nil {
			c.mu.Unlock()
			return -1, nil, err
		}
	}
	if c.out != nil {
		c.mu.Unlock()
		return -1, nil, ErrPending
	}
	fd, c.fd = c.fd, -1
	c.shut |= shutWrite | shutDown
	c.mu.Unlock()
	left = append(left, c.Peek()...)
	l.view = nil
	c.flags |= gone
	l.poller.Remove(fd)
	l.rt.give(c.class)
	l.slots.remove(c.token)
	l.heap.Stop(&c.timer)
	c.releaseLeft()
	l.conns.Add(-1)
	l.rt.left(c)
	c.handler = nil
	return fd, left, nil
}
