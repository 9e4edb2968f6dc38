package stream

import "github.com/weir-go/weir/internal/h2"

// sink is a Session as package h2 sees it. Its methods are called inside Feed.
type sink Session

// Request is a new stream.
func (k *sink) Request(b *h2.Block, end bool) {
	s := (*Session)(k)
	if s.state >= closing {
		return
	}
	st := &Stream{sess: s}
	st.h.Owner = st
	s.core.Accept(&st.h)
	if s.core.Err() != nil {
		return
	}
	s.tally.opened++
	s.care.busy = true
	st.req = s.request(b)
	st.req.use(s)
	timeout, ok := timeoutOf(b)
	switch {
	case st.req.status != "" && !end:
		// Answered when something has followed that is well-formed: what is
		// not HTTP/2 either deserves an error of that.
		st.flags |= refusing
	case st.req.status != "":
		st.refuseHTTP()
	case st.req.fault != nil:
		st.finish(st.req.fault)
	case !ok:
		st.finish(&Status{Code: Internal, Message: "malformed grpc-timeout"})
	default:
		st.begin(timeout, end)
	}
}

// refuseHTTP answers a request that is not gRPC: with a status of HTTP and a
// line of text.
func (st *Stream) refuseHTTP() {
	s := st.sess
	st.flags &^= refusing
	block := h2.AppendField(s.lane.block[:0], ":status", st.req.status)
	block = h2.AppendField(block, "content-type", "text/plain")
	s.core.SendHeaders(&st.h, block, false)
	s.lane.block = block[:0]
	st.flags |= headerSent | plainEnd
	b := NewBuffer(0)
	b.plain, b.b, b.head = true, append(b.b[:0], st.req.fault.Message...), 0
	st.count(b)
	st.enqueue(b)
	st.finish(st.req.fault)
}

// Headers are the request's trailers: nothing of gRPC's, but its end.
func (k *sink) Headers(h *h2.Stream[*Stream], _ *h2.Block, _ bool) {
	h.Owner.peerDone()
}

// Data is a piece of the request's messages.
func (k *sink) Data(h *h2.Stream[*Stream], p []byte, end bool) {
	s, st := (*Session)(k), h.Owner
	s.measure(len(p))
	switch {
	case st.flags&refusing != 0:
		// peerDone answers: with the end it is known whether the request was
		// HTTP/2 at all. One without an end is not waited for.
		if int(st.owed)+len(p) >= s.own.cfg.StreamWindow/2 {
			st.refuseHTTP()
		}
	case st.flags&finishing == 0:
		st.receive(p, end)
	}
	st.owed += int32(len(p))
	st.credit()
	s.creditConn(len(p))
	if end {
		st.peerDone()
	}
}

// Reset is the end of a stream by RST_STREAM, of the peer's or for its error.
func (k *sink) Reset(h *h2.Stream[*Stream], code h2.Code, remote bool, why string) {
	status := fromH2(code)
	if !remote {
		status = &Status{Code: Internal, Message: "the peer has broken the protocol: " + why}
	}
	(*Session)(k).tally.reset++
	h.Owner.ended(status)
}

// Window says that st, or with nil any stream, may send more.
func (k *sink) Window(h *h2.Stream[*Stream]) {
	s := (*Session)(k)
	if h != nil {
		if h.Owner.flags&stalled != 0 {
			s.join(h.Owner)
		}
		return
	}
	s.setFull(false)
	if s.revive {
		s.revive = false
		for _, h := range s.core.Streams(nil) {
			if h.Owner.flags&stalled != 0 {
				s.join(h.Owner)
			}
		}
	}
}

// Settings are the peer's.
func (k *sink) Settings(p *h2.PeerSettings) {
	s := (*Session)(k)
	s.revive = s.revive || p.InitialWindow > s.core.Peer().InitialWindow
}

// GoAway says that the client will open no more streams; it closes when it is
// done.
func (k *sink) GoAway(uint32, h2.Code, []byte) {}

// inflow is a message that is not complete. A stream has one only as long.
type inflow struct {
	asm        h2.Assembler
	first      *Buffer // Unary: the request, while the peer's end is awaited
	st         *Stream
	prev, next *inflow // in a row
	turn       turnOf
	moved      bool // bytes have come since turns were looked at
}

// receive takes the next bytes of the peer's messages. end: nothing follows.
func (st *Stream) receive(p []byte, end bool) {
	if len(p) > 0 {
		st.flags |= came
	}
	for len(p) > 0 && st.flags&(ended|finishing) == 0 {
		if st.in == nil || !st.in.asm.Begun() {
			m, compressed, used, err := h2.NextMessage(p, st.method.MaxRecv)
			if err != nil {
				st.badMessage(err)
				return
			}
			if used > 0 {
				if c := st.receiver(); c != nil {
					st.sess.tally.received++
					st.hand(c, p[:used])
				} else {
					st.deliver(m, compressed, end && len(p) == used)
				}
				p = p[used:]
				continue
			}
			if st.in == nil {
				st.in = &inflow{st: st}
			}
		}
		used, done, err := st.assemble(p)
		if err != nil {
			st.badMessage(err)
			return
		}
		if p = p[used:]; done {
			st.assembledOne(end && len(p) == 0)
		}
	}
}

// assemble adds to the message that is not complete, and to what is held.
func (st *Stream) assemble(p []byte) (used int, done bool, err error) {
	in := st.in
	before := in.asm.Held()
	used, done, err = in.asm.Add(p, st.method.MaxRecv)
	if !st.sess.grew(in, in.asm.Held()-before, done) && err == nil {
		err = errCrowded
	}
	return used, done, err
}

// shrink lets go of what a message that is not complete holds.
func (st *Stream) shrink() { st.sess.grown(st.in) }

// assembledOne delivers a message that came in pieces.
func (st *Stream) assembledOne(last bool) {
	a := &st.in.asm
	_, compressed := a.Message()
	st.shrink()
	b := assembled(a.Take(), compressed)
	st.tidyIn()
	if c := st.receiver(); c != nil {
		st.sess.tally.received++
		st.handWhole(c, b)
		return
	}
	st.deliver(b.b, compressed, last)
	b.Release()
}

// tidyIn lets go of what no message needs.
func (st *Stream) tidyIn() {
	if st.in != nil && st.in.first == nil && !st.in.asm.Begun() {
		st.in = nil
	}
}

// dropIn forgets an incomplete message.
func (st *Stream) dropIn() {
	if st.in == nil {
		return
	}
	st.shrink()
	st.in.asm.Reset()
	if b := st.in.first; b != nil {
		st.sess.releaseIn(cap(b.b))
		b.Release()
	}
	st.in = nil
}

// badMessage ends the stream for a prefix that is wrong.
func (st *Stream) badMessage(err error) {
	switch err {
	case h2.ErrMessageSize:
		st.finish(Statusf(ResourceExhausted, "received message larger than max (%d)", st.method.MaxRecv))
		return
	case errCrowded:
		st.sess.tally.overBudget++
		st.finish(&Status{Code: ResourceExhausted, Message: "the session's byte budget is used up by messages that are not complete"})
		return
	}
	st.finish(&Status{Code: Internal, Message: err.Error()})
}

// receiver returns the goroutine's side, if messages go there.
func (st *Stream) receiver() *call {
	if st.method.Go != nil && st.flags&detached == 0 {
		if st.flags&serving == 0 {
			st.startGo() // which awaited the first message
		}
		return st.call.Load()
	}
	return nil
}

// deliver gives a whole message to whoever serves the stream. m is valid until
// deliver returns. last: the peer's end came with it.
func (st *Stream) deliver(m []byte, compressed, last bool) {
	st.sess.tally.received++
	if compressed {
		b, status := st.inflate(m)
		if status != nil {
			st.finish(status)
			return
		}
		defer b.Release()
		m = b.Bytes()
	}
	switch {
	case st.method.Unary != nil:
		st.request(m, last)
	case st.handler != nil:
		st.message(m)
	}
}

// inflate decompresses a message.
func (st *Stream) inflate(m []byte) (*Buffer, *Status) {
	c := st.decoder()
	if o := st.out(); c == nil && o != nil && o.response().encoding != "" {
		return nil, Statusf(Internal, "grpc: Decompressor is not installed for grpc-encoding %q", o.response().encoding)
	}
	if c == nil {
		return nil, &Status{Code: Internal, Message: "grpc: compressed flag set with identity or empty encoding"}
	}
	b := NewBuffer(0)
	var err error
	if b.b, err = c.Decompress(b.b, m, st.method.MaxRecv); err == nil {
		return b, nil
	}
	b.Release()
	if err == ErrTooLarge {
		return nil, Statusf(ResourceExhausted, "received message after decompression larger than max (%d)", st.method.MaxRecv)
	}
	return nil, Statusf(Internal, "grpc: failed to decompress the received message: %v", err)
}

// decoder returns what the peer's messages are compressed with, nil for nothing
// that is known.
func (st *Stream) decoder() Compressor {
	if o := st.out(); o != nil {
		return o.codec
	}
	return st.req.codec
}

// peerDone is the peer's half-close.
func (st *Stream) peerDone() {
	if st.flags&(ended|finishing|halfClosed) != 0 {
		return
	}
	st.flags |= halfClosed
	if st.flags&refusing != 0 {
		st.refuseHTTP()
		return
	}
	switch {
	case st.in != nil && st.in.asm.Begun():
		st.finish(&Status{Code: Internal, Message: "the request ends inside a message"})
	case st.method.Unary != nil:
		st.requestDone()
	case st.method.Go != nil && st.flags&detached == 0:
		if c := st.receiver(); c != nil {
			c.peerDone(st)
		}
	default:
		st.halfClosed()
	}
}

// Pause withholds the stream's window: when the peer has used what it has, it
// has to wait, on this stream only. Messages that are on their way still come.
// Loop only.
func (st *Stream) Pause() {
	st.flags |= paused
	if st.in != nil {
		st.sess.holdUp(st.in)
	}
}

// Resume ends Pause. Loop only.
func (st *Stream) Resume() {
	if st.flags&paused != 0 {
		st.flags &^= paused
		if st.sess.link == nil {
			return // a client's that is not open
		}
		st.sess.begin()
		st.credit()
		st.sess.flush()
	}
}

// credit opens the stream's window by what has been received, unless it is
// withheld.
func (st *Stream) credit() {
	if st.flags&(paused|starved|refusing|ended) != 0 {
		return
	}
	if in := st.in; in != nil {
		if in.turn == heldUp {
			st.sess.lineUp(in)
		}
		if in.turn == awaitTurn {
			return
		}
	}
	if st.owed > 0 {
		st.widen()
		st.owed = 0
	}
}
