package stream

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/internal/h2"
	"github.com/weir-go/weir/timer"
)

// outgoing is what a Client's stream has besides what every stream has.
//
//	Start, Call ──► waiting ◄──────────────┐ again, once
//	                  │ there is room      │
//	                  ▼                    │
//	                placed ──► open ──► refused, nothing shown to the caller
//	                  │          │
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

	// Of the call; never changes.
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
	sure      bool // the stream stays where it is: nothing is kept
	tried     bool // and was refused once
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
		c.abandon()
	}
}

// abandon empties the inbound queue. The receiver may be looking at the first
// buffer: that one is left to it.
func (c *call) abandon() {
	c.mu.Lock()
	b := c.takeAll()
	c.mu.Unlock()
	for first := true; b != nil; first = false {
		next := b.next
		c.st.home().releaseIn(cap(b.b))
		if !first {
			b.Release()
		}
		b = next
	}
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

// keep holds on to a message that has been sent, until the peer has answered
// something: a stream that it refuses is opened again elsewhere.
func (o *outgoing) keep(b *Buffer) {
	n := b.size()
	o.st.queued.Add(-int32(min(n, 1<<30)))
	if o.kept == nil {
		o.kept = b
	} else {
		o.keptLast.next = b
	}
	o.keptLast = b
	if o.keptBytes += n; o.keptBytes > o.client.cfg.SendLimit {
		o.commit()
	}
}

// commit lets go of what was kept: from here on the stream cannot begin anew.
func (o *outgoing) commit() {
	o.sure = true
	s := o.st.sess
	for b := o.kept; b != nil; {
		next := b.next
		b.next = nil
		s.release(b.size())
		b.Release()
		b = next
	}
	o.kept, o.keptLast, o.keptBytes = nil, nil, 0
}

// transfer moves n counted bytes from one session's account to another's.
func transfer(n int, from, to *Session) {
	from.held.Add(int64(-n))
	to.held.Add(int64(n))
}

// rewind makes what was sent and what is queued the queue again. It returns its
// bytes.
func (o *outgoing) rewind() (n int) {
	st := o.st
	if o.kept != nil {
		o.keptLast.next = st.head
		if st.head == nil {
			st.tail = o.keptLast
		}
		st.head = o.kept
		st.queued.Add(int32(o.keptBytes))
	}
	o.kept, o.keptLast, o.keptBytes = nil, nil, 0
	for b := st.head; b != nil; b = b.next {
		b.at = 0
		n += b.size()
	}
	return n
}

// depart takes a refused stream off its session, so that it can be opened again
// on another. On the loop; the stream is closed already for package h2.
func (o *outgoing) depart() {
	st, limbo := o.st, o.client.limbo
	s := st.sess
	o.tried = true
	st.dropIn()
	s.unlist(st)
	st.stopDeadline()
	transfer(o.rewind(), s, limbo)
	st.flags &= sendDone | serving | hasHalf | hasDrained | wanting
	s.tally.done++ // it will be counted again
	s.streamLeft()
	o.client.departed(o)
	o.mu.Lock()
	st.sess = limbo
	o.at.Store(limbo)
	left := s.put(command{st: st, op: opLeft})
	o.mu.Unlock()
	if !left {
		o.client.requeue(o)
	}
}

// unlist takes a stream off the lists of its session.
func (s *Session) unlist(st *Stream) {
	if st.flags&queuedUp != 0 {
		all := s.run
		s.run = list{}
		for x := all.head; x != nil; {
			next := x.next
			x.next = nil
			x.flags &^= queuedUp
			if x != st {
				s.join(x)
			}
			x = next
		}
	}
	for i, x := range s.told {
		if x == st {
			s.told = append(s.told[:i], s.told[i+1:]...)
			break
		}
	}
}

// stray is a command that reaches a session which its stream has left. The last
// one sets the stream free.
func (o *outgoing) stray(s *Session, c command) {
	switch c.op {
	case opLeft:
		o.client.requeue(o)
		return
	case opSend:
		transfer(c.ref.(*Buffer).size(), s, o.client.limbo)
	}
	o.late = append(o.late, c)
}

// bounced is a stream that was placed on a session which has ended, or drains.
func (o *outgoing) bounced() { o.client.bounce(o) }

// perish ends a stream that is on no session.
func (o *outgoing) perish(status *Status) {
	st := o.st
	if st.handler == nil || o.client.rt.Post(0, func() { o.die(status) }) != nil {
		o.die(status)
	}
}

func (o *outgoing) die(status *Status) {
	st := o.st
	o.mu.Lock()
	o.over = true
	left := append(o.late, o.pending...)
	o.late, o.pending = nil, nil
	o.mu.Unlock()
	st.flags |= ended
	st.final = status
	st.marks.Or(markEnded | markFinished | markHeader)
	for _, c := range left {
		c.drop()
	}
	st.dropQueue()
	o.ended()
	o.client.count.failed.Add(1)
	if c := st.call.Load(); c != nil {
		c.end(status)
	}
	if h := st.handler; h != nil {
		st.handler = nil
		st.tellClosed(h, status)
	}
	o.client.finished(o)
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
	if !o.over {
		o.alarm = time.AfterFunc(o.timeLeft(), func() { o.cancel(statusDeadline) })
	}
}

// settleOn ends limbo: the session takes over what has gathered.
func (o *outgoing) settleOn(s *Session) {
	st, limbo := o.st, o.client.limbo
	for b := st.head; b != nil; b = b.next {
		transfer(b.size(), limbo, s)
	}
	if st.head != nil || st.flags&sendDone != 0 {
		s.join(st)
	}
	todo, settled := o.takeOver(s)
	for ; !settled; todo, settled = o.takeOver(s) {
		for _, c := range todo {
			if c.op == opSend {
				transfer(c.ref.(*Buffer).size(), limbo, s)
			}
			st.obey(c)
		}
	}
	st.roomy()
	if why := o.cancelled(); why != nil { // while nobody would have heard of it
		st.reset(h2.Cancel, why)
	}
}

// takeOver returns what has gathered, or settles the stream when nothing has.
func (o *outgoing) takeOver(s *Session) (todo []command, settled bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	todo = append(o.late, o.pending...)
	o.late, o.pending = nil, nil
	if len(todo) > 0 {
		return todo, false
	}
	o.at.Store(s)
	if o.alarm != nil {
		o.alarm.Stop()
		o.alarm = nil
	}
	return nil, true
}
