package stream

import "io"

// The inbound queue of a call: what the loop hands over, and Recv takes.

// takeAll empties the inbound queue. mu is held.
func (c *call) takeAll() *Buffer {
	b := c.first
	c.first, c.last, c.bytes = nil, nil, 0
	return b
}

// freeInbound gives a buffer of the inbound queue back.
func (st *Stream) freeInbound(b *Buffer) {
	st.sess.releaseIn(cap(b.b))
	b.Release()
}

// hand puts a message, with its prefix, into the inbound queue. Small ones share
// a buffer. On the loop.
func (st *Stream) hand(c *call, p []byte) {
	c.mu.Lock()
	if b := c.last; b != nil && b.packed && cap(b.b)-len(b.b) >= len(p) {
		b.b = append(b.b, p...) // where nobody looks yet
		c.bytes += len(p)
	} else {
		b = stored(len(p))
		b.packed = true
		copy(b.b, p)
		c.push(st, b)
	}
	c.handed(st)
}

// handWhole does the same for a message that was put together.
func (st *Stream) handWhole(c *call, b *Buffer) {
	c.mu.Lock()
	c.push(st, b)
	c.handed(st)
}

// push puts b at the end. mu is held.
func (c *call) push(st *Stream, b *Buffer) {
	st.sess.holdIn(cap(b.b))
	if c.last == nil {
		c.first = b
	} else {
		c.last.next = b
	}
	c.last = b
	c.bytes += len(b.b)
}

// handed wakes the receiver, and starves the peer when that one has enough. mu
// is held, and let go.
func (c *call) handed(st *Stream) {
	over := c.over != nil
	if c.bytes > st.sess.own.cfg.StreamWindow/2 {
		c.starving = true
		st.flags |= starved
	}
	c.received.Signal()
	c.mu.Unlock()
	if over {
		c.drop()
	}
	st.sess.link.Handed()
}

// peerDone is the peer's half-close. On the loop.
func (c *call) peerDone(st *Stream) {
	c.mu.Lock()
	c.eof = true
	c.received.Signal()
	c.mu.Unlock()
	st.sess.link.Handed()
}

// drop empties the inbound queue of a stream that has ended, or whose method has
// returned.
func (c *call) drop() {
	c.mu.Lock()
	b := c.takeAll()
	c.mu.Unlock()
	for b != nil {
		next := b.next
		c.st.letGo(b, b.at > 0)
		b = next
	}
}

// letGo gives a buffer of the inbound queue back, of which something was received
// (read). A goroutine that outlives its method may still be looking at that; methods
// with Await, which have one request, have no such goroutines.
func (st *Stream) letGo(b *Buffer, read bool) {
	if read && !st.method.Await {
		st.sess.releaseIn(cap(b.b))
		return
	}
	st.freeInbound(b)
}

// Recv waits for the next message. It is valid until the next Recv; with Await it
// is also no longer than until the method returns. io.EOF when the peer sends no
// more, a *Status when the stream has ended. One goroutine at a time, in methods
// with Go.
func (st *Stream) Recv() ([]byte, error) {
	c := st.lockCall()
	if c.finishFirst() {
		st.relieve()
	}
	for c.first == nil && !c.eof && c.over == nil {
		c.waits++
		c.received.Wait()
		c.waits--
	}
	b, over := c.first, c.over
	// A client is shown what came before the status.
	if over != nil && over.Code != OK && (b == nil || st.method.out == nil) {
		c.mu.Unlock()
		st.method.out.unwatch()
		return nil, over
	}
	if b == nil {
		eof := c.eof || st.method.out != nil
		c.mu.Unlock()
		st.method.out.unwatch()
		if !eof {
			return nil, statusCanceled // our end, and not the peer's
		}
		return nil, io.EOF
	}
	at := b.at
	m, compressed, _ := b.nextMessage()
	c.bytes -= b.at - at
	fed := c.starving && c.bytes <= st.sess.own.cfg.StreamWindow/4
	if fed {
		c.starving = false
	}
	c.mu.Unlock()
	if fed {
		st.put(opCredit, nil)
	}
	if compressed {
		return c.open(m)
	}
	return m, nil
}

// finishFirst lets go of the first buffer when all of its messages have been
// received, which the receiver says by coming back for the next, and reports
// whether it did. mu is held.
func (c *call) finishFirst() bool {
	c.takeBack(true)
	b := c.first
	if b == nil || b.packed && b.at < len(b.b) || !b.packed && !b.taken {
		return false
	}
	if c.first = b.next; c.first == nil {
		c.last = nil
	}
	b.next = nil
	c.st.freeInbound(b)
	return true
}

// relieve has the loop look whether it may open the connection's window again, if
// that is withheld. A client's stream that is over takes no commands any more. Any
// goroutine.
func (st *Stream) relieve() {
	if s := st.home(); s.short.Load() && !st.put(opCredit, nil) && s.link != nil {
		s.link.Poke()
	}
}

// takeBack ends the loan of what Recv has decompressed last. mu is held. free:
// nobody reads it any more.
func (c *call) takeBack(free bool) {
	b := c.lent
	if b == nil {
		return
	}
	c.lent = nil
	c.st.home().release(cap(b.b))
	if free {
		b.Release()
	}
}

// leave is takeBack for the last time. Without free a goroutine may still be in
// Recv, or reading what that has returned.
func (c *call) leave(free bool) {
	c.mu.Lock()
	c.takeBack(free)
	c.returned = true
	c.mu.Unlock()
}

// open decompresses a message that the receiver has taken, and lends it. What
// was small on the wire need not be any more: it counts.
func (c *call) open(m []byte) ([]byte, error) {
	var b *Buffer
	status := statusCrowded
	if !c.st.sess.crowded() {
		b, status = c.st.inflate(m)
	}
	if status != nil {
		c.st.Finish(status)
		return nil, status
	}
	c.mu.Lock()
	if !c.returned {
		c.lent = b
		c.st.home().hold(cap(b.b))
	}
	c.mu.Unlock()
	return b.Bytes(), nil
}
