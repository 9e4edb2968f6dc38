package stream

import (
	"runtime/debug"

	"github.com/weir-go/weir/internal/h2"
)

// Handler is the user's side of a stream served by callbacks. All its methods,
// and those of the optional interfaces below, are called on the loop that owns
// the stream, one at a time, and none after Closed. They must not block. A panic
// in one ends the stream with Internal.
type Handler interface {
	// Message is called for each message of the peer's. m is valid until it
	// returns. An error ends the stream with its status.
	Message(st *Stream, m []byte) error

	// Closed is called once, last. err is nil when the stream has ended with
	// OK, otherwise a *Status: as sent, or Canceled when the peer or the
	// connection has ended it, DeadlineExceeded when its time was up.
	Closed(st *Stream, err error)
}

// HalfCloser is an optional interface of a Handler.
type HalfCloser interface {
	// HalfClosed is called when the peer sends no more messages. An error ends
	// the stream with its status. Without HalfClosed the stream goes on until
	// Finish.
	HalfClosed(st *Stream) error
}

// Drainer is an optional interface of a Handler.
type Drainer interface {
	// Drained is called when the send queue has fallen to half of SendLimit
	// after sending was refused with ErrFull.
	Drained(st *Stream)
}

// Headerer is an optional interface of the Handler of a Client's stream.
type Headerer interface {
	// Headers is called when the response's header is here, before the first
	// Message: see Stream.Header. An error cancels the stream. It is not called
	// when the response is a status only.
	Headers(st *Stream) error
}

// setHandler installs h; nil: nobody.
func (st *Stream) setHandler(h Handler) {
	st.handler = h
	st.flags &^= hasHalf | hasDrained
	if _, ok := h.(HalfCloser); ok {
		st.flags |= hasHalf
	}
	if _, ok := h.(Drainer); ok {
		st.flags |= hasDrained
	}
}

// openHandler is Method.Open.
func (st *Stream) openHandler() {
	defer st.guard()
	h, err := st.method.Open(st)
	if err != nil {
		st.finish(StatusOf(err))
		return
	}
	st.setHandler(h)
}

func (st *Stream) message(m []byte) {
	defer st.guard()
	if err := st.handler.Message(st, m); err != nil {
		st.finish(StatusOf(err))
	}
}

func (st *Stream) halfClosed() {
	if st.flags&hasHalf != 0 {
		defer st.guard()
		if err := st.handler.(HalfCloser).HalfClosed(st); err != nil {
			st.finish(StatusOf(err))
		}
	}
}

// request is a message for a Unary method. The peer's end is awaited, unless it
// came with it: a request is one message.
func (st *Stream) request(m []byte, last bool) {
	switch {
	case st.in != nil && st.in.first != nil:
		st.finish(&Status{Code: Internal, Message: "cardinality violation: a unary request has several messages"})
	case last:
		st.unary(m)
	default:
		if st.in == nil {
			st.in = &inflow{st: st}
		}
		b := copied(m, false)
		st.sess.holdIn(cap(b.b))
		st.in.first = b
	}
}

// requestDone is the peer's end on a Unary method.
func (st *Stream) requestDone() {
	if st.in == nil || st.in.first == nil {
		st.finish(&Status{Code: Internal, Message: "cardinality violation: a unary request has no message"})
		return
	}
	b := st.in.first
	st.in.first = nil
	st.sess.releaseIn(cap(b.b))
	st.tidyIn()
	st.unary(b.Bytes())
	b.Release()
}

// unary answers a request.
func (st *Stream) unary(m []byte) {
	defer st.guard()
	out, err := st.method.Unary(st, m)
	st.sess.takeInbox() // metadata that the method has set
	if err == nil && st.flags&(ended|finishing) == 0 {
		if len(out) > st.method.MaxSend {
			err = st.tooLargeToSend(len(out))
		} else {
			err = st.emit(out)
		}
	}
	st.finish(StatusOf(err))
}

// run is a function of Post.
func (st *Stream) run(f func(*Stream)) {
	defer st.guard()
	f(st)
}

// tellDrained calls Drained.
func (st *Stream) tellDrained() {
	st.flags &^= toldFull
	if st.flags&(ended|finishing) == 0 && st.flags&hasDrained != 0 {
		defer st.guard()
		st.handler.(Drainer).Drained(st)
	}
}

// guard keeps a panic of the user's code to its stream.
func (st *Stream) guard() {
	if v := recover(); v != nil {
		st.panicked(v, debug.Stack())
		st.finish(statusPanic)
	}
}

var statusPanic = &Status{Code: Internal, Message: "panic in the method"}

func (st *Stream) panicked(v any, stack []byte) {
	own := st.sess.own
	own.count.panics.Add(1)
	if f := own.cfg.PanicReport; f != nil {
		f(st.req.path, v, stack)
	}
}

// finish ends our side when the queue is empty. On the loop; later calls do
// nothing.
func (st *Stream) finish(status *Status) {
	if st.flags&(ended|finishing) != 0 {
		return
	}
	if st.out() != nil { // a client can only go
		st.reset(h2.Cancel, status)
		return
	}
	st.marks.Or(markFinished | markHeader)
	st.flags |= finishing | went // Limits.Send counts anew, for its end
	st.final = status
	st.dropIn()
	if st.head == nil {
		st.sess.depart(st)
	}
}

// reset ends the stream at once.
func (st *Stream) reset(code h2.Code, status *Status) {
	if st.flags&ended == 0 {
		st.sess.core.Reset(&st.h, code)
		st.ended(status)
	}
}

// ended lets go of everything a stream has. It is the only place where a stream
// ends, and comes once.
func (st *Stream) ended(status *Status) {
	if st.flags&ended != 0 {
		return
	}
	st.flags = st.flags&^stalled | ended
	st.final = status
	st.marks.Or(markEnded | markFinished | markHeader)
	s := st.sess
	if st.flags&queuedUp != 0 {
		s.bury()
	}
	st.dropQueue()
	st.dropIn()
	st.stopDeadline()
	st.req.unuse(s)
	s.tally.ended(status)
	if o := st.out(); o != nil {
		o.ended()
	}
	if c := st.call.Load(); c != nil {
		c.end(status)
		s.link.Handed()
	}
	if st.flags&serving == 0 {
		s.core.Release(&st.h)
		if c := st.call.Load(); c != nil {
			c.drop()
		}
	}
	if subs := st.subs; subs != nil {
		st.subs = nil
		subs.gone(st)
	}
	if h := st.handler; h != nil {
		st.handler = nil
		st.tellClosed(h, status)
	}
	if o := st.out(); o != nil {
		s.line.left(o)
	}
	s.streamLeft()
}

func (st *Stream) tellClosed(h Handler, status *Status) {
	defer func() {
		if v := recover(); v != nil {
			st.panicked(v, debug.Stack())
		}
	}()
	h.Closed(st, status.asError())
}

// roomy is told when the send queue has become shorter. Who waited for that is
// told when it has fallen to half.
func (st *Stream) roomy() {
	marks := st.marks.Load()
	if marks&(markFull|markWaiting) == 0 || int(st.queued.Load()) > st.sess.own.cfg.SendLimit/2 {
		return
	}
	if marks&markFull != 0 {
		st.marks.And(^markFull)
		if st.flags&(hasDrained|toldFull) == hasDrained {
			st.flags |= toldFull
			st.sess.told = append(st.sess.told, st)
		}
	}
	if marks&markWaiting != 0 {
		if c := st.call.Load(); c != nil {
			c.wakeSender()
			st.sess.link.Handed()
		}
	}
}
