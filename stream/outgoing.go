package stream

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/timer"
)

// outgoing is what a Client's stream has besides what every stream has.
//
//	Start, Call ──► waiting ◄──────────────┐ again, once
//	                  │ there is room      │
//	                  ▼                    │
//	                placed ──► open ──► refused, nothing shown to the caller;
//	                  │          │      to come back: resting first
//	  not in time,    │          │ status
//	  cancelled       └───► done ◄
//
// As long as it is not open, the stream has no loop: what its user does gathers
// in pending, and its bytes are counted for Client.limbo, which is a Session
// only for that.
type outgoing struct {
	st     *Stream
	client *Client
	method Method // of st

	// Of the call; never changes, but for the header of one that comes back.
	header     Metadata
	compressor Compressor
	wait       bool          // WaitForReady
	until      time.Time     // when its time is up; zero: never
	begun      chan struct{} // closed when the stream is placed or done; nil: nobody waits

	// Guarded by Client.mu.
	place      place
	line       *line // it is placed on
	avoid      *line // which has refused it
	prev, next *outgoing
	nap        *time.Timer // ends its rest

	// Guarded by mu, but that at may be read by anyone.
	mu      sync.Mutex
	at      atomic.Pointer[Session] // the session, or limbo
	pending []command               // in limbo
	why     *Status                 // cancelled here
	over    bool                    // the stream has ended
	reply   reply
	answer  chan struct{} // closed when the reply's header or the end has come; nil: nobody waits
	unbind  func() bool   // from the caller's context
	alarm   *time.Timer   // for until, in limbo

	// Of the loop.
	late      []command // left with a session that the stream is not on any more
	kept      *Buffer   // sent, and to be sent again if the stream is refused
	keptLast  *Buffer
	keptBytes int
	sure      bool          // the stream stays where it is: nothing is kept
	tried     bool          // and was refused once
	times     int           // that it may yet come back when a server wants it back
	again     int           // that it has
	pause     time.Duration // until then; of the rest that begins
	codec     Compressor
	foreign   *Status // the reply is not gRPC's: what the stream ends with
}

// reply is what the peer has answered besides messages.
type reply struct {
	headed          bool // header is there
	header, trailer Metadata
	contentType     string
	encoding        string
}

type place uint8

const (
	nowhere place = iota // not yet, between two sessions, or no more
	inQueue
	onLine
	resting // until a server wants it back
)

func (o *outgoing) response() reply {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.reply
}

// put leaves a command with the session, or for it. Any goroutine.
func (o *outgoing) put(what op, ref any) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.leave(command{st: o.st, op: what, ref: ref})
}

// leave is put with mu held.
func (o *outgoing) leave(c command) bool {
	if o.over {
		return false
	}
	if s := o.at.Load(); s != o.client.limbo {
		return s.put(c)
	}
	o.pending = append(o.pending, c)
	return true
}

// send counts a sealed message and leaves it.
func (o *outgoing) send(b *Buffer) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, s := b.size(), o.at.Load()
	o.st.queued.Add(int32(min(n, 1<<30)))
	s.hold(n)
	if o.leave(command{st: o.st, op: opSend, ref: b}) {
		return nil
	}
	o.st.queued.Add(-int32(min(n, 1<<30)))
	s.release(n)
	b.Release()
	return ErrClosed
}

// cancel ends the stream for this end's reason. Any goroutine.
func (o *outgoing) cancel(why *Status) {
	o.st.marks.Or(markFinished)
	o.mu.Lock()
	over, limbo := o.over, o.at.Load() == o.client.limbo
	if o.why == nil {
		o.why = why
	}
	if !over && !limbo {
		o.leave(command{st: o.st, op: opCancel, ref: o.why})
	}
	o.mu.Unlock()
	switch {
	case over:
		o.abandon()
	case limbo:
		o.client.forget(o)
	}
}

// cancelled returns why this end has given the stream up, nil if it has not.
func (o *outgoing) cancelled() *Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.why
}

// abandon drops received messages that nobody will take.
func (o *outgoing) abandon() {
	if c := o.st.call.Load(); c != nil {
		c.abandon(o.cancelled())
	}
}

// abandon empties the inbound queue; Recv answers why then. The receiver may be
// looking at the first buffer: that one is left to it.
func (c *call) abandon(why *Status) {
	c.mu.Lock()
	c.takeBack(false)
	c.returned = true
	b := c.takeAll()
	if b != nil && (c.over == nil || c.over.Code == OK) {
		c.over = why
	}
	c.mu.Unlock()
	for first := true; b != nil; first = false {
		next := b.next
		c.st.home().releaseIn(cap(b.b))
		if !first {
			b.Release()
		}
		b = next
	}
	c.st.relieve()
}

// watch binds the stream to a context: stop ends that.
func (o *outgoing) watch(stop func() bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over && o.st.drained() {
		stop()
		return
	}
	o.unbind = stop
}

// unwatch ends what watch began. o may be nil.
func (o *outgoing) unwatch() {
	if o == nil {
		return
	}
	o.mu.Lock()
	stop := o.unbind
	o.unbind = nil
	o.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// drained reports whether no message waits for Recv.
func (st *Stream) drained() bool {
	c := st.call.Load()
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first == nil
}

// headed tells of the reply's header. On the loop.
func (o *outgoing) headed(r reply) {
	o.mu.Lock()
	o.reply = r
	answer := o.answer
	o.answer = nil
	o.mu.Unlock()
	if answer != nil {
		close(answer)
		o.st.sess.link.Handed()
	}
}

// ended is a part of Stream.ended.
func (o *outgoing) ended() {
	o.commit()
	o.mu.Lock()
	o.over = true
	answer, alarm, why := o.answer, o.alarm, o.why
	o.answer, o.alarm = nil, nil
	o.mu.Unlock()
	if answer != nil {
		close(answer)
	}
	if alarm != nil {
		alarm.Stop()
	}
	if why != nil {
		o.abandon()
	}
	if o.st.drained() {
		o.unwatch()
	}
}

// setTime lets the call's time begin.
func (o *outgoing) setTime(d time.Duration) {
	x := &deadline{st: o.st, when: timer.Now().Add(d), until: time.Now().Add(d)}
	x.timer.Init(x)
	o.st.deadline = x
	o.until = x.until
}

// timeLeft is what a request says as its time-out.
func (o *outgoing) timeLeft() time.Duration {
	if o.until.IsZero() {
		return never
	}
	return time.Until(o.until)
}

// setAlarm watches over the call's time while the stream has no loop. Calls that
// are bound to a context need none.
func (o *outgoing) setAlarm() {
	if o.st.deadline == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.alarm != nil {
		o.alarm.Stop()
	}
	if !o.over {
		o.alarm = time.AfterFunc(o.timeLeft(), func() { o.cancel(statusDeadline) })
	}
}
