package stream

import (
	"context"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/timer"
)

// call is a stream as a goroutine sees it. A stream has one only when a
// goroutine serves it, waits on it, or has asked for its context.
//
//	loop       hand ─► inbound queue ─► Recv        goroutine
//	           obey ◄─ inbox ◄──────── SendWait
//	           end ──► both wake up, the context ends
type call struct {
	st *Stream

	mu       sync.Mutex // held for a few lines; never while user code runs
	received sync.Cond  // a message, the peer's end, or the stream's
	room     sync.Cond  // in the send queue, or the stream's end
	first    *Buffer    // inbound queue
	last     *Buffer
	bytes    int  // in it
	starving bool // the loop withholds the window until bytes has fallen
	eof      bool // the peer has half-closed
	over     *Status
	lent     *Buffer // what Recv has decompressed last
	detach   *detachment

	// The context; see context.go.
	done  chan struct{}
	until time.Time
	after map[*afterFunc]struct{}
}

// callOf returns the stream's call, and makes it if there is none. Any
// goroutine.
func (st *Stream) callOf() *call {
	if c := st.call.Load(); c != nil {
		return c
	}
	c := &call{st: st}
	c.received.L, c.room.L = &c.mu, &c.mu
	if !st.call.CompareAndSwap(nil, c) {
		return st.call.Load()
	}
	if d := st.deadline; d != nil {
		c.mu.Lock()
		c.until = d.until
		c.mu.Unlock()
	}
	if st.marks.Load()&markEnded != 0 { // the loop may have missed it
		c.end(st.final)
	}
	return c
}

// startGo hands the stream to a worker.
func (st *Stream) startGo() {
	if st.flags&(serving|ended|finishing) != 0 {
		return
	}
	st.callOf()
	if !st.sess.srv.workers.serve(st) {
		st.sess.tally.noWorker++
		st.refuse(statusBusy, shortage{bounds.Goroutines, busyFor + rand.N(busyFor)}, ReasonWorkers)
		return
	}
	st.flags |= serving
	st.sess.link.Handed()
}

// serve is the worker's part: the method, and its return to the loop.
func (st *Stream) serve() {
	c := st.call.Load()
	d := &detachment{status: statusPanic}
	defer func() {
		if v := recover(); v != nil {
			st.panicked(v, debug.Stack())
		}
		c.takeBack()
		if c.detach != nil && d.status.Code == OK {
			d = c.detach
		}
		if !st.put(opReturn, d) {
			st.abandoned(d)
		}
	}()
	d.status = StatusOf(st.method.Go(st))
}

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
		b = buffers.Get().(*Buffer)
		b.b, b.packed = append(storage(len(p))[:0], p...), true
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

// end wakes everybody up. On the loop, but for callOf.
func (c *call) end(status *Status) {
	c.mu.Lock()
	if c.over == nil {
		c.over = status
	}
	after := c.after
	c.after = nil
	c.received.Broadcast()
	c.room.Broadcast()
	if c.done != nil {
		close(c.done)
	}
	c.mu.Unlock()
	for f := range after {
		go f.f() // as package context does
	}
}

// drop empties the inbound queue of a stream that has ended, or whose method has
// returned.
func (c *call) drop() {
	c.mu.Lock()
	b := c.takeAll()
	c.mu.Unlock()
	for b != nil {
		next := b.next
		c.st.freeInbound(b)
		b = next
	}
}

// Recv waits for the next message. It is valid until the next Recv, or until the
// method returns. io.EOF when the peer sends no more, a *Status when the stream
// has ended. One goroutine at a time, in methods with Go.
func (st *Stream) Recv() ([]byte, error) {
	c := st.callOf()
	c.mu.Lock()
	if c.finishFirst() && st.sess.short.Load() {
		st.put(opCredit, nil)
	}
	for c.first == nil && !c.eof && c.over == nil {
		c.received.Wait()
	}
	b, over := c.first, c.over
	// A client is shown what came before the status.
	if over != nil && over.Code != OK && (b == nil || st.method.out == nil) {
		c.mu.Unlock()
		st.method.out.unwatch()
		return nil, over
	}
	if b == nil {
		c.mu.Unlock()
		st.method.out.unwatch()
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
	c.takeBack()
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

// takeBack ends the loan of what Recv has decompressed last. By the receiver.
func (c *call) takeBack() {
	if b := c.lent; b != nil {
		c.lent = nil
		c.st.sess.release(cap(b.b))
		b.Release()
	}
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
	c.lent = b
	c.st.sess.hold(cap(b.b))
	return b.Bytes(), nil
}

// SendWait sends b, which is the stream's from here, and waits as long as the
// send queue is full. A *Status when the stream has ended, ErrClosed after
// Finish. One goroutine at a time; never on the loop.
func (st *Stream) SendWait(b *Buffer) error {
	for {
		err := st.sendableNow(len(b.Bytes()))
		if err == nil {
			return st.post(b)
		}
		if err == ErrFull {
			err = st.waitRoom()
		}
		if err != nil {
			b.Release()
			return err
		}
	}
}

// sendableNow is sendable without a promise of Drained.
func (st *Stream) sendableNow(n int) error {
	marks := st.marks.Load()
	switch {
	case marks&markEnded != 0 && st.final.Code != OK:
		return st.final
	case marks&(markFinished|markEnded) != 0:
		return ErrClosed
	case n > st.method.MaxSend:
		return st.tooLargeToSend(n)
	case st.congested():
		return ErrFull
	}
	return nil
}

// waitRoom waits until the send queue may have room.
func (st *Stream) waitRoom() error {
	c := st.callOf()
	c.mu.Lock()
	defer c.mu.Unlock()
	st.marks.Or(markWaiting)
	for c.over == nil && st.congested() && st.marks.Load()&markWaiting != 0 {
		c.room.Wait()
	}
	return nil
}

// wakeSender is told by the loop when there is room.
func (c *call) wakeSender() {
	c.mu.Lock()
	c.st.marks.And(^markWaiting)
	c.room.Broadcast()
	c.mu.Unlock()
}

// Deadline returns when the call's time is up, and whether it is limited. Loop
// only, and Go methods.
func (st *Stream) Deadline() (timer.Time, bool) {
	if d := st.deadline; d != nil {
		return d.when, true
	}
	return 0, false
}

// Context returns the stream's context. It ends when the stream does, with
// context.DeadlineExceeded when its time was up. It is made at the first call.
func (st *Stream) Context() context.Context { return (*callContext)(st.callOf()) }
