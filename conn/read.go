package conn

import (
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/weir-go/weir/internal/buf"
	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/poller"
)

// ready is called by the loop when the kernel has news.
func (c *Conn) ready(l *loop, r poller.Ready) {
	if b := c.block; b != nil {
		b.ready(l, r)
		return
	}
	if r.Has(poller.Readable) {
		c.flags |= readable
	}
	if r.Has(poller.Hangup | poller.Failed) {
		c.flags |= hungUp
	}
	// Output first: what it frees may be what the handler waits for.
	if c.pending.Load() > 0 && r.Has(poller.Writable) {
		l.flush(c)
	}
	if c.flags&(readable|gone) == readable {
		l.fill(c)
	}
	// A reset is seen even when nobody reads. After a Block it is the reader's to
	// find, and the descriptor his to close.
	if r.Has(poller.Failed) && c.flags&gone == 0 && c.block == nil {
		c.failed(l)
	}
}

// fill is the only place that reads from a connection's socket on the callback
// face. Bytes go to the loop's shared buffer, or behind what the handler left.
// It ends when the kernel has no more, when the handler wants no more, or when
// the connection has had its share of the turn. What comes behind Close is
// thrown away.
func (l *loop) fill(c *Conn) {
	for budget := l.rt.cfg.ReadBudget; l.wants(c); {
		if budget <= 0 {
			l.again(c)
			return
		}
		dst := l.in
		if c.left != nil {
			if dst = l.room(c); len(dst) == 0 {
				return
			}
		}
		n, errno := sock.Recv(c.fd, dst)
		if n <= 0 {
			l.empty(c, errno)
			return
		}
		// A short read has emptied the kernel's buffer, which saves the read
		// that says EAGAIN. After a hangup it may end before the end of
		// stream, for which no further edge would come.
		if n < len(dst) && c.flags&hungUp == 0 {
			c.flags &^= readable
		}
		budget -= n
		if c.flags&deaf != 0 {
			l.throwAway(c, n)
		} else {
			l.deliver(c, dst[:n])
		}
	}
}

// wants reports whether c is to be read from.
func (l *loop) wants(c *Conn) bool {
	if c.flags&deaf != 0 {
		return c.flags&(readable|gone|ended) == readable && c.block == nil
	}
	if c.flags&(readable|gone|closing|ended) != readable || c.block != nil {
		return false
	}
	if c.asks.Load()&(askClose|askDrop) != 0 { // the callback before asked for the end
		return false
	}
	return !c.paused.Load() && c.work == 0 && (c.left == nil || c.left.Len() < c.set.InLimit)
}

// room is where more input goes behind what the handler left. It is charged to
// the runtime's budget; a connection that can't pay is closed, because bytes
// that it has taken from the kernel can be kept nowhere else.
func (l *loop) room(c *Conn) []byte {
	held := c.left.Held()
	dst := c.left.Space(min(l.rt.cfg.ReadSize, c.set.InLimit-c.left.Len()))
	if grown := c.left.Held() - held; grown > 0 {
		l.rt.budget.force(grown) // drop gives it back
		if l.rt.budget.over() {
			c.fail(ErrBudget)
			return nil
		}
	}
	return dst
}

// empty handles a read that brought no bytes.
func (l *loop) empty(c *Conn, errno syscall.Errno) {
	switch errno {
	case 0:
		l.end(c)
	case syscall.EAGAIN:
		c.flags &^= readable
	default:
		c.fail(os.NewSyscallError("recv", errno))
	}
}

// deliver shows the handler fresh bytes, which lie in the loop's shared buffer
// or in c.left's space.
func (l *loop) deliver(c *Conn, fresh []byte) {
	c.received += uint64(len(fresh))
	if c.set.Idle > 0 {
		c.active = l.now
	}
	l.count.bytesRead += uint64(len(fresh))
	if t := l.trace; t != nil && t.Read != nil {
		t.Read(c, len(fresh))
	}
	l.enter(c)
	if c.left != nil {
		c.left.Commit(len(fresh))
	} else {
		l.view = fresh
	}
	err := c.handler.Data(c)
	l.leave(c)
	switch {
	case err != nil:
		c.fail(err)
	case c.left != nil && c.left.Len() >= c.set.InLimit:
		l.count.inPauses++
	}
}

// end is the peer's end of stream.
func (l *loop) end(c *Conn) {
	c.flags = c.flags&^readable | ended
	if c.flags&deaf != 0 {
		l.drop(c) // which was all that it waited for
		return
	}
	if c.traits&hasEOF == 0 {
		c.flags |= endAfter
		l.settle(c)
		return
	}
	l.enter(c)
	err := c.handler.(EOFHandler).EOF(c)
	l.leave(c)
	if err != nil {
		c.fail(err)
	}
}

// keep saves what the handler left of the shared buffer.
func (l *loop) keep(c *Conn, rest []byte) {
	if c.flags&gone != 0 {
		return
	}
	c.left = flats.Get().(*buf.Flat)
	kept := c.left.Append(rest)
	l.rt.budget.force(c.left.Held())
	if kept < len(rest) || l.rt.budget.over() {
		c.fail(ErrBudget)
		return
	}
	if c.rate().Bytes > 0 {
		c.messageBegan()
		c.arm()
	}
}

// Peek returns the unconsumed bytes: valid until the callback returns, or
// Discard or Read is called. nil when there are none. Loop only.
func (c *Conn) Peek() []byte {
	c.loop.check()
	if c.left != nil {
		return c.left.Bytes()
	}
	if c.loop.viewer == c {
		return c.loop.view
	}
	return nil
}

// Buffered returns len(Peek()). Loop only.
func (c *Conn) Buffered() int { return len(c.Peek()) }

// Discard consumes the first n bytes of Peek; n above Buffered consumes all.
// Loop only.
func (c *Conn) Discard(n int) {
	c.loop.check()
	if n <= 0 {
		return // and no new message begins
	}
	if c.left == nil {
		if l := c.loop; l.viewer == c {
			l.view = l.view[min(n, len(l.view)):]
		}
		return
	}
	c.left.Discard(n)
	c.messageBegan() // what is left now is a new message
	if c.left.Len() == 0 {
		c.releaseLeft()
	}
}

// Read consumes up to len(p) bytes into p. It never waits: 0, nil when there
// are none, 0, io.EOF when the peer has ended besides. Loop only.
func (c *Conn) Read(p []byte) (int, error) {
	n := copy(p, c.Peek())
	if n == 0 && len(p) > 0 && c.flags&ended != 0 {
		return 0, io.EOF
	}
	c.Discard(n)
	return n, nil
}

// Pause stops Data until Resume: the kernel's buffer fills up, and TCP slows
// the peer down. Close, resets and time-outs still happen. From a callback it
// takes effect at once, from elsewhere there may be one more Data.
func (c *Conn) Pause() { c.paused.Store(true) }

// Resume ends Pause. Data is called again when more bytes are there than have
// been shown.
func (c *Conn) Resume() {
	if c.paused.Swap(false) {
		c.ask(askRead)
	}
}

func (c *Conn) releaseLeft() {
	if c.left == nil {
		return
	}
	c.loop.rt.budget.give(c.left.Held())
	c.left.Release()
	flats.Put(c.left)
	c.left = nil
}

var flats = sync.Pool{New: func() any { return new(buf.Flat) }}
