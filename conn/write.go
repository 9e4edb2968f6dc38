package conn

import (
	"os"
	"sync"
	"syscall"

	"github.com/weir-go/weir/internal/buf"
	"github.com/weir-go/weir/internal/sock"
)

// stageSize is the room in which the small writes of one callback are gathered
// before they leave in one send. A write of stageDirect bytes or more that
// finds nothing gathered goes to the kernel at once: copying it would cost more
// than the system call it might save.
const (
	stageSize   = 64 << 10
	stageDirect = 4 << 10
)

// Write accepts bytes for the peer: what the kernel does not take now is copied
// and sent when it does. Accepted is not flushed, and flushed is not received;
// see Pending and Drainer. p belongs to the caller again when Write returns.
// Bytes of concurrent Writes do not mix, but for those of a Write that fails
// half-way.
//
// n < len(p) only with an error: ErrFull when pending output is at HighWater
// (Drained follows), ErrBudget when the runtime's byte budget is used up,
// ErrClosed after Close or CloseWrite, or the socket's error.
//
// Inside a callback of c small writes are gathered and leave in one send when
// it returns.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	n, err := c.write(p)
	c.mu.Unlock()
	return n, err
}

// write is Write with mu held.
func (c *Conn) write(p []byte) (int, error) {
	if c.shut != 0 || c.block != nil {
		return 0, c.refusal()
	}
	l := c.loop
	if c.inside() {
		// The loop is inside a callback of c and flushes when it returns.
		if len(p) < stageDirect || len(l.stage) > 0 {
			return c.gather(p)
		}
	}
	n := 0
	if c.out == nil {
		var err error
		if n, err = c.send(p, false); n == len(p) || err != nil {
			return n, err
		}
	}
	return c.queue(p, n)
}

// gather adds p to the bytes that leave when the callback returns.
func (c *Conn) gather(p []byte) (int, error) {
	l := c.loop
	room := c.set.HighWater - int(c.pending.Load()) - len(l.stage)
	q := p
	if len(q) > room {
		q = q[:max(room, 0)]
	}
	if len(l.stage)+len(q) > stageSize {
		if err := c.flushStage(false); err != nil {
			return 0, err
		}
		if len(q) >= stageDirect {
			n := 0
			if c.out == nil {
				var err error
				if n, err = c.send(p, false); n == len(p) || err != nil {
					return n, err
				}
			}
			return c.queue(p, n)
		}
	}
	l.stage = append(l.stage, q...)
	if len(q) < len(p) {
		c.wanting = true
		l.rt.full.Add(1)
		return len(q), ErrFull
	}
	return len(q), nil
}

// flushStage sends what a callback has gathered; own says that it is the loop's
// goroutine which does. mu is held.
func (c *Conn) flushStage(own bool) error {
	l := c.loop
	p := l.stage
	l.stage = p[:0]
	if c.shut&shutDown != 0 {
		return c.refusal()
	}
	n := 0
	if c.out == nil {
		var err error
		if n, err = c.send(p, own); err != nil {
			return err
		}
		if n == len(p) {
			c.finish()
			if c.drainable() { // HighWater is below stageSize
				c.ask(askDrained)
			}
			return nil
		}
	}
	// These were accepted already: the marks have been looked at, and the
	// budget may not refuse them any more.
	c.enqueue(p[n:], true)
	return c.pushOn()
}

// send gives p to the kernel until it takes no more. mu is held. An error ends
// the connection.
func (c *Conn) send(p []byte, own bool) (int, error) {
	done := 0
	for done < len(p) {
		n, errno := sock.Send(c.fd, p[done:])
		if errno != 0 {
			if errno == syscall.EAGAIN {
				return done, nil
			}
			return done, c.broken(os.NewSyscallError("send", errno))
		}
		c.wrote(n, own)
		done += n
	}
	return done, nil
}

// queue keeps what the kernel did not take of p[done:], as far as the marks and
// the budget allow, and returns how much of p is accepted. mu is held.
func (c *Conn) queue(p []byte, done int) (int, error) {
	rest := p[done:]
	if room := c.set.HighWater - int(c.pending.Load()); len(rest) > room {
		rest = rest[:max(room, 0)]
	}
	if len(rest) > 0 {
		if !c.enqueue(rest, false) {
			return done, ErrBudget
		}
		if err := c.pushOn(); err != nil {
			return done, err
		}
	}
	if done += len(rest); done < len(p) {
		c.wanting = true
		c.loop.rt.full.Add(1)
		return done, ErrFull
	}
	return done, nil
}

var chains = sync.Pool{New: func() any { return new(buf.Chain) }}

// enqueue copies p to the end of the queue; false when the budget refuses,
// unless it is forced. mu is held.
func (c *Conn) enqueue(p []byte, forced bool) bool {
	if c.out == nil {
		c.out = chains.Get().(*buf.Chain)
	}
	if grow := c.out.Grow(len(p)); !c.loop.rt.budget.take(grow) {
		if !forced {
			c.wanting = true
			c.tidy()
			return false
		}
		c.loop.rt.budget.force(grow)
	}
	c.out.Append(p)
	c.setPending()
	return true
}

// queueRef queues shared bytes. mu is held.
func (c *Conn) queueRef(p []byte, s *Shared) {
	if c.out == nil {
		c.out = chains.Get().(*buf.Chain)
	}
	c.out.AppendRef(p, s)
	c.setPending()
}

// pushOn tries the kernel once more after the queue has been published. The
// edge that says "writable again" may have come between the send that found the
// buffer full and the publishing; the loop found nothing pending then. From
// here on it finds it.
func (c *Conn) pushOn() error {
	err := c.push()
	if c.drainable() {
		c.ask(askDrained)
	}
	return err
}

// push sends queued bytes until the kernel takes no more. mu is held. It is,
// with send, the only place that writes to the socket on the callback face.
func (c *Conn) push() error {
	for c.out != nil {
		var n int
		var errno syscall.Errno
		if second := c.out.Run(1); second == nil {
			n, errno = sock.Send(c.fd, c.out.Run(0))
		} else {
			n, errno = c.pushMany()
		}
		if errno == syscall.EAGAIN {
			return nil
		}
		if errno != 0 {
			return c.broken(os.NewSyscallError("send", errno))
		}
		c.advance(n)
	}
	c.finish()
	return nil
}

// finish ends our side of the stream when CloseWrite asked for it and nothing
// is pending. mu is held.
func (c *Conn) finish() {
	if c.out == nil && c.shut&(finAsked|finSent|shutDown) == finAsked {
		c.shut |= finSent
		sock.ShutdownWrite(c.fd) // fails only when the peer has gone, which a read finds out
	}
}

// pushMany sends the first runs of the queue in one gathered write.
func (c *Conn) pushMany() (int, syscall.Errno) {
	var iov [64]sock.Iovec
	k := 0
	for ; k < len(iov); k++ {
		run := c.out.Run(k)
		if run == nil {
			break
		}
		iov[k].Set(run)
	}
	return sock.Sendv(c.fd, iov[:k])
}

// advance takes n sent bytes off the queue.
func (c *Conn) advance(n int) {
	c.wrote(n, false)
	held := c.out.Held()
	c.out.Advance(n)
	c.loop.rt.budget.give(held - c.out.Held())
	c.tidy()
	c.setPending()
}

// tidy gives an empty queue back: an idle connection owns none.
func (c *Conn) tidy() {
	if c.out != nil && c.out.Len() == 0 {
		c.loop.rt.budget.give(c.out.Held())
		c.out.Release()
		chains.Put(c.out)
		c.out = nil
	}
}

func (c *Conn) setPending() {
	n := 0
	if c.out != nil {
		n = c.out.Len()
	}
	if n >= c.set.HighWater {
		c.wanting = true
	}
	c.pending.Store(int64(n))
}

func (c *Conn) wrote(n int, own bool) {
	c.sent += uint64(n)
	if own {
		c.loop.count.bytesWritten += uint64(n)
	} else {
		c.tally().written.Add(uint64(n))
	}
	if t := c.loop.trace; t != nil && t.Wrote != nil {
		t.Wrote(c, n)
	}
}

// drainable reports whether Drained is due. mu is held.
func (c *Conn) drainable() bool {
	return c.wanting && int(c.pending.Load()) <= c.set.LowWater
}

// refusal says why nothing can be written. mu is held.
func (c *Conn) refusal() error {
	switch {
	case c.shut != 0:
		return ErrClosed
	case c.block != nil:
		return ErrBlocking
	}
	return nil
}

// broken notes a socket's error as the connection's end, which is the loop's to
// make. mu is held.
func (c *Conn) broken(err error) error {
	if c.cause == nil {
		c.cause = err
	}
	c.shut |= shutWrite
	c.ask(askDrop)
	return err
}
