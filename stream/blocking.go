package stream

import (
	"context"
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
	returned bool    // nobody comes to take that back any more
	waits    int     // goroutines in Recv or SendWait
	left     bool    // the stream goes on without this one: see lockCall
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

// lockCall returns the stream's call with its mu held. A stream that was detached
// has let go of the one its method had: who still has that asks for another.
func (st *Stream) lockCall() *call {
	for {
		c := st.callOf()
		c.mu.Lock()
		if !c.left {
			return c
		}
		c.mu.Unlock()
	}
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
		c.leave(st.method.Await)
		if c.detach != nil && d.status.Code == OK {
			d = c.detach
		}
		if !st.put(opReturn, d) {
			st.abandoned(d)
		}
	}()
	d.status = StatusOf(st.method.Go(st))
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
		closeOnce(c.done) // who has made the call, or its context, may have seen the end before
	}
	c.mu.Unlock()
	for f := range after {
		go f.f() // as package context does
	}
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
	c := st.lockCall()
	defer c.mu.Unlock()
	st.marks.Or(markWaiting)
	for c.over == nil && st.congested() && st.marks.Load()&markWaiting != 0 {
		c.waits++
		c.room.Wait()
		c.waits--
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
