package stream

import (
	"github.com/weir-go/weir/internal/h2"
	"github.com/weir-go/weir/timer"
)

// admit opens a stream that the client has placed on this session. On the loop.
func (s *Session) admit(o *outgoing) {
	if s.state == running {
		s.line.attempt.tell(nil)
	}
	left := o.timeLeft()
	switch why := o.cancelled(); {
	case why != nil:
		o.die(why)
		return
	case left <= 0:
		o.die(statusDeadline)
		return
	case s.closedFor():
		o.bounced()
		return
	case o.listSize() > int64(s.core.Peer().MaxHeaderList):
		o.die(Statusf(Internal, "the header list is larger than the %d bytes that the server takes", s.core.Peer().MaxHeaderList))
		return
	}
	st := o.st
	st.sess = s
	block := s.line.requestBlock(s.lane.block[:0], o, left)
	s.core.Open(&st.h, block, false)
	s.lane.block = block[:0]
	st.flags |= headerSent
	s.line.serves()
	s.tally.opened++
	s.care.busy, s.care.spoke = true, true
	o.sure = o.tried && o.times <= 0
	if d := st.deadline; d != nil {
		s.link.SetTimer(&d.timer, d.when)
	}
	o.settleOn(s)
}

// closedFor reports whether the session opens no stream now. One that never will
// again is out of use first.
func (s *Session) closedFor() bool {
	switch s.core.CanOpen() {
	case nil:
		return s.state != running
	case h2.ErrStreams: // the limit was lowered
	case h2.ErrIDs:
		s.drain("")
	default:
		s.line.leave()
	}
	return true
}

// CloseSend says that no message of this end follows: the server sees the end
// behind what is queued. Of a Client's streams only; later calls, and sends, do
// nothing but answer ErrClosed. Any goroutine.
func (st *Stream) CloseSend() error {
	switch {
	case st.method.out == nil:
		return ErrNoCall
	case st.marks.Or(markFinished)&(markFinished|markEnded) != 0, !st.put(opCloseSend, nil):
		return ErrClosed
	}
	return nil
}

// halfClose sends the end of the request; the queue is empty.
func (st *Stream) halfClose() {
	st.flags |= sendEnded
	st.sess.core.SendData(&st.h, nil, true)
}

// caller is a client's Session as package h2 sees it. Its methods are called
// inside Feed.
type caller Session

// Request does not come: servers open no streams.
func (k *caller) Request(*h2.Block, bool) {}

// Headers is the response's header or, with end, its trailers.
func (k *caller) Headers(h *h2.Stream[*Stream], b *h2.Block, end bool) {
	st := h.Owner
	o := st.out()
	if end && o.comesBack(b) {
		return
	}
	o.commit()
	switch {
	case st.flags&ended != 0:
	case b.TooLarge:
		st.finish(&Status{Code: Internal, Message: "the response's header list is too large"})
	case end:
		o.trailed(b)
	default:
		o.answered(b)
	}
}

// answered takes the response's header.
func (o *outgoing) answered(b *h2.Block) {
	st := o.st
	r := reply{headed: true, contentType: fieldOf(b, "content-type"), encoding: fieldOf(b, "grpc-encoding")}
	if b.Status != "200" || !isGRPC(r.contentType) {
		o.foreign = fromHTTP(b.Status, r.contentType)
		return // its end says the rest
	}
	if r.encoding == "identity" {
		r.encoding = ""
	}
	o.codec = o.client.codecs[r.encoding]
	var fault *Status
	if r.header, fault = metadataOf(b.Fields); fault != nil {
		st.finish(fault)
		return
	}
	o.headed(r)
	if h, ok := st.handler.(Headerer); ok {
		st.showHeaders(h)
	}
}

func (st *Stream) showHeaders(h Headerer) {
	defer st.guard()
	if err := h.Headers(st); err != nil {
		st.finish(StatusOf(err))
	}
}

// trailed takes the trailers: with them the stream ends.
func (o *outgoing) trailed(b *h2.Block) {
	st := o.st
	status := o.foreign
	if status == nil {
		md, fault := metadataOf(b.Fields)
		o.mu.Lock()
		o.reply.trailer = md
		headed := o.reply.headed
		if !headed {
			o.reply.contentType = fieldOf(b, "content-type")
		}
		o.mu.Unlock()
		if status = statusIn(b, headed); fault != nil && status.Code == OK {
			status = fault
		}
	}
	if status.Code == OK && st.in != nil && st.in.asm.Begun() {
		status = &Status{Code: Internal, Message: "the response ends inside a message"}
	}
	st.responded(status)
}

// responded ends a stream that the server has ended.
func (st *Stream) responded(status *Status) {
	if st.h.State() != h2.Closed {
		st.sess.core.Reset(&st.h, h2.NoError) // nobody listens there any more
	}
	st.ended(status)
}

// Data is a piece of the response's messages.
func (k *caller) Data(h *h2.Stream[*Stream], p []byte, end bool) {
	s, st := (*Session)(k), h.Owner
	s.measure(len(p))
	o := st.out()
	switch {
	case st.flags&ended != 0:
	case o.foreign != nil:
		o.foreign = o.foreign.with(p)
	default:
		st.receive(p, false)
	}
	st.owed += int32(len(p))
	st.credit()
	s.creditConn(len(p))
	if end && st.flags&ended == 0 {
		status := o.foreign
		if status == nil {
			status = &Status{Code: Internal, Message: "the response has no trailers"}
		}
		st.responded(status)
	}
}

// Reset is the end of a stream by RST_STREAM, of the server's or for its error.
func (k *caller) Reset(h *h2.Stream[*Stream], code h2.Code, remote bool, why string) {
	s, st := (*Session)(k), h.Owner
	s.tally.reset++
	switch {
	case !remote:
		st.ended(&Status{Code: Internal, Message: "the server has broken the protocol: " + why})
	case code == h2.RefusedStream:
		st.out().refused(fromH2(code))
	case code == h2.NoError:
		st.ended(&Status{Code: Internal, Message: "reset with NO_ERROR"})
	case code == h2.Cancel && st.out().timeLeft() <= 0:
		st.ended(statusDeadline) // the server's clock was faster
	default:
		st.ended(fromH2(code))
	}
}

// refused is a stream that the server has not looked at. It is opened again
// elsewhere, once, unless the caller has seen something of it.
func (o *outgoing) refused(status *Status) {
	o.client.nums.refused.Add(1)
	switch why := o.cancelled(); {
	case why != nil:
		o.st.ended(why)
	case o.tried || o.sure || !o.client.spend():
		o.st.ended(status)
	default:
		o.tried = true
		o.depart()
	}
}

// Window is as a server's.
func (k *caller) Window(h *h2.Stream[*Stream]) { (*sink)(k).Window(h) }

// Settings are the server's. With the first ones the session is ready.
func (k *caller) Settings(p *h2.PeerSettings) {
	s := (*Session)(k)
	(*sink)(k).Settings(p)
	if p.HeaderTable != s.core.Peer().HeaderTable {
		s.line.table.enc.SetTableSize(p.HeaderTable)
		s.line.table.like = nil // the next block begins with the new size
	}
	s.line.settings(int(min(p.MaxStreams, 1<<30)))
}

// Ping is the answer to one of ours, or one of the server's, which is answered
// already.
func (k *caller) Ping(data [8]byte, ack bool) {
	if ack && data == flowPing {
		(*Session)(k).measured(timer.Now())
	}
}

// GoAway says that the server takes no more streams, and none above last.
func (k *caller) GoAway(last uint32, code h2.Code, debug []byte) {
	s := (*Session)(k)
	s.line.goAway(code, string(debug[:min(len(debug), foreignText)]))
	s.quit()
	status := s.line.farewell("not served")
	for _, h := range s.core.Streams(nil) {
		if h.ID() > last {
			s.core.Reset(h, h2.Cancel)
			h.Owner.out().refused(status)
		}
	}
}

// quit takes no more streams, and ends the session when it has none.
func (s *Session) quit() {
	if s.state != running {
		return
	}
	s.state = draining
	s.tally.drained++
	now := s.link.Now()
	c := &s.care
	c.final, c.graceTo = true, timer.Never
	if d := s.own.cfg.AgeGrace; d > 0 {
		c.graceTo = now.Add(d)
	}
	s.line.leave()
	s.arm(now)
}
