package stream

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/weir-go/weir/internal/h2"
	"github.com/weir-go/weir/timer"
)

// Limits are how long a Server's stream may take. They are looked at now and
// then, with the session's timer: a stream has none of its own for them, and may
// have half of the shortest limit longer than it should, 20 s at most. The zero
// value is Config's; there, where Config.Admit is set, it is 30 s but for Age, and
// otherwise no limit. Negative: no limit.
//
// The codes are those of gRPC's table: DeadlineExceeded for a client that did
// not do its part in time, ResourceExhausted for one that takes nothing, as for
// flow control, and Unavailable where it may begin anew at once.
type Limits struct {
	// Idle is how long nothing may come or go, nor wait to be sent, whatever the
	// method does meanwhile. DeadlineExceeded. Calls of one request and one answer, and
	// streams with a subscription to a Topic, are not idle. Streams that may be
	// silent for longer, as clients' keepalives are no messages, need -1.
	Idle time.Duration

	// Receive is how long no byte may come of a message that the client owes:
	// the rest of one that has begun, the request of a method that waits for it
	// (Unary, Brief, Await). Time in which its window is withheld does not count.
	// DeadlineExceeded.
	Receive time.Duration

	// Send is how long the client may take no byte of what waits to be sent.
	// ResourceExhausted, or ENHANCE_YOUR_CALM, which is the same, inside a
	// message. What has not been sent is lost; trailers say how many messages
	// that is. A subscriber's policy is asked first for what is published, but a
	// large message of a topic's that has begun to leave waits here.
	Send time.Duration

	// Age is how long the stream may last; 10 % more or less, so that those that
	// began together do not end together. It ends between two messages of the
	// client's, behind what is queued; at the latest a tenth later. Unavailable.
	Age time.Duration
}

// or fills in what is zero.
func (l Limits) or(d Limits) Limits {
	zero(&l.Idle, d.Idle)
	zero(&l.Receive, d.Receive)
	zero(&l.Send, d.Send)
	zero(&l.Age, d.Age)
	return l
}

const (
	limitDefault = 30 * time.Second // where Config.Admit is set

	// How often streams are looked at: four times in the shortest limit, within
	// these.
	lookLeast = 50 * time.Millisecond
	lookMost  = 10 * time.Second
)

// lookFor has streams looked at often enough for a limit.
func (x *side) lookFor(l Limits) {
	for _, d := range [...]time.Duration{l.Idle, l.Receive, l.Send, l.Age} {
		if d <= 0 {
			continue
		}
		if d = min(max(d/4, lookLeast), lookMost); x.look == 0 || d < x.look {
			x.look = d
		}
	}
}

// ticks are an instant or a duration of a session's, in 67 ms: 2^26 ns. A Stream
// has several, and 32 bits last for nine years.
type ticks uint32

const tickShift = 26

func (s *Session) ticks(now timer.Time) ticks { return ticks(now.Sub(s.care.born) >> tickShift) }

// ticksOf rounds up: late is right, early is not. What is longer than half of
// what ticks can count is that long, which is more than four years.
func ticksOf(d time.Duration) ticks { return ticks(min((d-1)>>tickShift+1, math.MaxInt32)) }

// since are the instants that limits count from, as of the last look.
type since struct {
	idle, receive, send ticks // something came or went; nothing is owed to us; nothing waits
	old                 ticks // when the stream has come to its age; 0: it does not
}

// watch begins to count.
func (st *Stream) watch() {
	s := st.sess
	now := s.link.Now()
	t := s.ticks(now)
	st.since = since{idle: t, receive: t, send: t}
	if d := st.method.Limits.Age; d > 0 {
		n := ticksOf(d)
		st.since.old = t + n - n/10 + rand.N(n/5+1)
	}
	if c := &s.care; c.sweep == 0 {
		c.sweep = now.Add(s.own.look)
		s.arm(now)
	}
}

// lookAtStreams looks at them when it is time, as long as there are any.
func (s *Session) lookAtStreams(now timer.Time) {
	c := &s.care
	if c.sweep == 0 || now < c.sweep {
		return
	}
	s.inspect(now)
	if c.sweep = 0; s.core.Len() > 0 {
		c.sweep = now.Add(s.own.look)
	}
}

// each calls f for each stream that has a method and has not ended; f may end it
// and others. What others have sent is in the queues by then.
func (s *Session) each(f func(st *Stream)) {
	s.takeInbox()
	all := s.core.Streams(s.lane.streams[:0])
	s.lane.streams = nil // who comes here from a callback needs another
	for i, h := range all {
		all[i] = nil
		if st := h.Owner; st.flags&ended == 0 && st.method != nil {
			f(st)
		}
	}
	if s.lane.streams = all[:0]; cap(all) > 1<<14 {
		s.lane.streams = nil
	}
}

// inspect notes what has moved since the last look, and ends the streams that
// have come to a limit.
func (s *Session) inspect(now timer.Time) {
	t := s.ticks(now)
	gone := t - s.care.looked
	s.care.looked = t
	s.each(func(st *Stream) { st.inspect(t, gone) })
}

// inspect does so for a stream, gone after the last look.
func (st *Stream) inspect(t, gone ticks) {
	x, l := &st.since, &st.method.Limits
	moved := st.flags & (came | went)
	st.flags &^= came | went
	if moved != 0 || st.queued.Load() > 0 {
		x.idle = t
	}
	switch {
	case moved&came != 0 || !st.owesUs():
		x.receive = t
	case st.withheld():
		x.receive = min(x.receive+gone, t) // and does not begin anew
	}
	if moved&went != 0 || st.head == nil && st.flags&finishing == 0 {
		x.send = t
	}
	aged := x.old != 0 && t >= x.old
	switch {
	case past(t, x.send, l.Send):
		st.cutFor(ReasonSend, statusNotTaken)
	case st.flags&finishing != 0:
		if aged {
			st.age(t)
		}
	case past(t, x.receive, l.Receive):
		st.cutFor(ReasonReceive, statusNotSent)
	case past(t, x.idle, l.Idle) && st.subs == nil && !st.method.short():
		st.cutFor(ReasonIdle, statusIdle)
	case aged:
		st.age(t)
	}
}

func past(now, since ticks, limit time.Duration) bool {
	return limit > 0 && now-since >= ticksOf(limit)
}

// owesUs reports whether the client is to send something.
func (st *Stream) owesUs() bool {
	m := st.method
	switch {
	case st.flags&halfClosed != 0:
		return false
	case st.in != nil && st.in.asm.Begun():
		return true
	}
	return m.short() || m.Await && st.flags&(serving|detached) == 0
}

// withheld reports whether it may have to wait with that.
func (st *Stream) withheld() bool {
	in := st.in
	return st.flags&(paused|starved) != 0 || st.sess.withheld > 0 || in != nil && (in.turn == heldUp || in.turn == awaitTurn)
}

// age ends a stream that is old enough, between two messages if it can. When
// its end, or what is queued before it, does not leave either, it is cut.
func (st *Stream) age(t ticks) {
	late := t-st.since.old >= ticksOf(st.method.Limits.Age/10)
	switch {
	case st.flags&finishing == 0 && st.between():
		st.overFor(ReasonAge, statusOld)
		st.finish(statusOld)
	case late && st.final == statusOld: // counted already
		st.cut(statusOld)
	case late:
		st.cutFor(ReasonAge, statusOld)
	}
}

// between reports whether no message of the client's is on its way to the
// method.
func (st *Stream) between() bool {
	if st.in != nil && st.in.asm.Begun() {
		return false
	}
	c := st.call.Load()
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes == 0
}

// What streams end with that have come to a limit.
var (
	statusIdle     = &Status{Code: DeadlineExceeded, Message: "the stream was idle for too long"}
	statusNotSent  = &Status{Code: DeadlineExceeded, Message: "a message took too long to come"}
	statusNotTaken = &Status{Code: ResourceExhausted, Message: "the client takes nothing"}
	statusOld      = &Status{Code: Unavailable, Message: "the stream is too old: begin another"}
)

// overFor counts a stream that ends before its method wants it to.
func (st *Stream) overFor(why Reason, status *Status) {
	own := st.sess.own
	own.count.reasons[why].Add(1)
	if t := own.cfg.Trace; t != nil && t.Ended != nil {
		t.Ended(st.sess, st.req.path, why, status)
	}
}

// cutFor ends a stream and drops what is queued, which its status says.
func (st *Stream) cutFor(why Reason, status *Status) {
	n := 0
	for b := st.head; b != nil; b = b.next {
		n++
	}
	if n > 0 {
		status = Statusf(status.Code, "%s; messages not sent: %d", status.Message, n)
	}
	st.overFor(why, status)
	st.cut(status)
}

// cut ends a stream whatever is queued: with trailers where the peer can make
// sense of them, with RST_STREAM inside a message. Trailers wait as long as the
// link takes nothing, and the method with them: where it may be waiting for room,
// or its time is up, RST_STREAM does not.
func (st *Stream) cut(status *Status) {
	switch {
	case st.out() != nil, st.flags&finishing != 0, st.head != nil && st.head.at > 0,
		(st.head != nil || status == statusDeadline) && !st.sess.open():
		code := h2.Cancel
		if status.Code == ResourceExhausted {
			code = h2.EnhanceYourCalm
		}
		st.reset(code, status)
	default:
		st.dropQueue()
		st.finish(status)
	}
}
