package stream

import (
	"sync/atomic"

	"github.com/weir-go/weir/internal/h2"
)

// Stream is one call. Methods belong to its loop (its callbacks, and functions
// given to Post) where they say so; the others may be called from any
// goroutine. What one goroutine does to a stream happens in that order.
//
// A stream that is idle has no goroutine, no context, no buffer and no timer.
type Stream struct {
	h h2.Stream[*Stream]

	// With h, all that push looks at, in 64 bytes.
	sess  *Session
	head  *Buffer // send queue
	flags flags
	owed  int32 // received bytes for which the stream's window was not opened yet

	method   *Method
	req      *request  // shared with other streams of the session
	resp     *response // what the header and trailers get besides the usual; nil: nothing
	handler  Handler   // callbacks; nil: none, or not yet, or no more
	tail     *Buffer   // of the send queue
	in       *inflow   // a message that is not complete; nil when there is none
	deadline *deadline // nil: none
	subs     source    // of Topic.Subscribe; loop only
	since    since     // for its Limits; loop only
	next     *Stream   // in the session's run list
	final    *Status   // how it ends; set before it is marked ended
	call     atomic.Pointer[call]

	queued atomic.Int32 // bytes in the send queue and on the way to it
	marks  atomic.Uint32
}

// flags are what the loop knows about a stream.
type flags uint32

const (
	ended      flags = 1 << iota // nothing goes in or out any more
	finishing                    // Finish: trailers follow when the queue is empty
	headerSent                   //
	queuedUp                     // stands in the session's run list
	stalled                      // has something to send but no window
	wanting                      // its source wants a pull
	paused                       // Pause
	starved                      // its receiver has enough for now
	serving                      // Go's goroutine is out
	detached                     // and was: from now on callbacks
	plainEnd                     // not gRPC: DATA ends it, without trailers
	hasHalf                      // optional interfaces of handler
	hasDrained
	halfClosed // the peer sends no more
	refusing   // not gRPC: to be answered with a status of HTTP
	toldFull   // stands in the session's list of those to tell Drained
	sendDone   // client: CloseSend; the end follows what is queued
	sendEnded  // and did
	came       // bytes of messages, since the last look
	went       // likewise
)

// Marks are what any goroutine may know and set.
const (
	markEnded    uint32 = 1 << iota // final is set
	markFinished                    // Finish or Cancel was called
	markHeader                      // the header is sent or on its way
	markFull                        // a send was refused: call Drained
	markWaiting                     // a goroutine waits in SendWait
)

// response is what the user has given for the header and trailers.
type response struct {
	header, trailer Metadata
}

func (st *Stream) answer() *response {
	if st.resp == nil {
		st.resp = new(response)
	}
	return st.resp
}

// Method returns the call's path, "/package.Service/Method".
func (st *Stream) Method() string { return st.req.path }

// Authority returns the host that the peer has asked for.
func (st *Stream) Authority() string { return st.req.authority }

// ContentType returns the content-type of the peer's header: the request's or,
// of a Client's stream, the response's as far as it is here.
func (st *Stream) ContentType() string {
	if o := st.out(); o != nil {
		return o.response().contentType
	}
	return st.req.contentType
}

// Header returns the peer's metadata: the request's or, of a Client's stream, the
// response's as far as it is here (see WaitHeader). It is shared: not to be
// changed.
func (st *Stream) Header() Metadata {
	if o := st.out(); o != nil {
		return o.response().header
	}
	return st.req.md
}

// Encoding returns the name of the compression of the peer's messages, "" or
// "gzip" and such.
func (st *Stream) Encoding() string {
	if o := st.out(); o != nil {
		return o.response().encoding
	}
	return st.req.encoding
}

// Session returns the session that the stream belongs to; nil for a Client's
// that has none yet.
func (st *Stream) Session() *Session {
	if o := st.out(); o != nil {
		if s := o.at.Load(); s != o.client.limbo {
			return s
		}
		return nil
	}
	return st.sess
}

// out returns what a Client's stream has besides; nil for a Server's.
func (st *Stream) out() *outgoing {
	if m := st.method; m != nil {
		return m.out
	}
	return nil
}

// home returns the session that waiting bytes are counted for. Any goroutine.
func (st *Stream) home() *Session {
	if o := st.method.out; o != nil {
		return o.at.Load()
	}
	return st.sess
}

// put leaves a command for the stream's loop; false when there will be none. Any
// goroutine.
func (st *Stream) put(what op, ref any) bool {
	if o := st.method.out; o != nil {
		return o.put(what, ref)
	}
	return st.sess.put(command{st: st, op: what, ref: ref})
}

// Queued returns how many bytes wait in the send queue.
func (st *Stream) Queued() int { return int(st.queued.Load()) }

// Send copies m to the send queue. It never waits: ErrFull when the queue is
// full (a Handler's Drained follows), ErrClosed after Finish and after the end,
// a *Status when m is too large.
func (st *Stream) Send(m []byte) error {
	if err := st.sendable(len(m)); err != nil {
		return err
	}
	return st.post(copied(m, false))
}

// SendBuffer is Send without a copy: b is the stream's from here.
func (st *Stream) SendBuffer(b *Buffer) error {
	if err := st.sendable(len(b.Bytes())); err != nil {
		b.Release()
		return err
	}
	return st.post(b)
}

// SendMessage is Send for a message that is encoded once; the caller keeps its
// reference.
func (st *Stream) SendMessage(m *Message) error {
	if err := st.sendable(m.Len()); err != nil {
		return err
	}
	m.Retain()
	b := buffers.Get().(*Buffer)
	b.msg = m
	return st.post(b)
}

// sendable says why a message of n bytes cannot be sent, if so.
func (st *Stream) sendable(n int) error {
	switch {
	case st.marks.Load()&(markFinished|markEnded) != 0:
		return ErrClosed
	case n > st.method.MaxSend:
		return st.tooLargeToSend(n)
	case st.congested():
		return st.refuseFull()
	}
	return nil
}

func (st *Stream) tooLargeToSend(n int) error {
	return Statusf(ResourceExhausted, "trying to send message larger than max (%d vs. %d)", n, st.method.MaxSend)
}

// refuseFull notes that Drained is owed. The queue may have been emptied since
// it was looked at: then nobody would come to call it.
func (st *Stream) refuseFull() error {
	st.marks.Or(markFull)
	if !st.congested() {
		st.put(opCredit, nil)
	}
	st.method.own.count.full.Add(1)
	return ErrFull
}

// congested reports whether the send queue takes no more. An empty one always
// takes a message, however large.
func (st *Stream) congested() bool {
	q := int(st.queued.Load())
	cfg := &st.method.own.cfg
	return q > 0 && (q >= cfg.SendLimit || st.home().held.Load() > cfg.SessionBudget)
}

// post seals b and leaves it for the loop.
func (st *Stream) post(b *Buffer) error {
	b, err := st.pack(b)
	if err != nil {
		return err
	}
	if st.marks.Load()&markHeader == 0 {
		st.marks.Or(markHeader)
	}
	if o := st.method.out; o != nil {
		return o.send(b)
	}
	st.count(b)
	if !st.put(opSend, b) {
		st.unqueue(b)
		return ErrClosed
	}
	return nil
}

// pack compresses b if the stream does, and writes its prefix.
func (st *Stream) pack(b *Buffer) (*Buffer, error) {
	if c := st.compressor(); c != nil && b.msg == nil && len(b.Bytes()) > 0 {
		z := NewBuffer(0)
		var err error
		z.b, err = c.Compress(z.b, b.Bytes())
		b.Release()
		b = z
		if err != nil {
			b.Release()
			return nil, Statusf(Internal, "compressing a message: %v", err)
		}
		b.compressed = true
	}
	b.seal()
	return b, nil
}

// count adds b to what waits to be sent, unqueue takes it off and releases it.
func (st *Stream) count(b *Buffer) {
	n := b.size()
	st.queued.Add(int32(min(n, 1<<30)))
	st.sess.hold(n)
}

func (st *Stream) unqueue(b *Buffer) {
	n := b.size()
	st.queued.Add(-int32(min(n, 1<<30)))
	st.sess.release(n)
	b.Release()
}

// SetHeader adds to the metadata that the header will have. ErrHeader when it is
// sent already, or on its way; ErrMetadata for pairs that cannot be sent.
func (st *Stream) SetHeader(md Metadata) error {
	if st.marks.Load()&markHeader != 0 {
		return ErrHeader
	}
	return st.setMetadata(opHeader, md)
}

// SendHeader adds to the header and sends it now, before the first message.
// ErrHeader when it is sent already.
func (st *Stream) SendHeader(md Metadata) error {
	if st.marks.Or(markHeader)&markHeader != 0 {
		return ErrHeader
	}
	return st.setMetadata(opSendHeader, md)
}

// SetTrailer adds to the metadata that the trailers will have.
func (st *Stream) SetTrailer(md Metadata) error { return st.setMetadata(opTrailer, md) }

func (st *Stream) setMetadata(o op, md Metadata) error {
	for _, p := range md {
		if !validPair(p) {
			return ErrMetadata
		}
	}
	if st.marks.Load()&(markFinished|markEnded) != 0 || !st.put(o, md) {
		return ErrClosed
	}
	return nil
}

// Finish ends the stream with err's status (nil: OK), after what is queued.
// Later calls do nothing. On a Client's stream it is Cancel, with err's status
// for this end unless err is nil.
func (st *Stream) Finish(err error) {
	if o := st.method.out; o != nil {
		if err == nil {
			err = statusCanceled
		}
		o.cancel(StatusOf(err))
		return
	}
	if st.marks.Or(markFinished)&markFinished == 0 {
		st.put(opFinish, StatusOf(err))
	}
}

// end is Finish for topics.
func (st *Stream) end(err error) { st.Finish(err) }

// Cancel ends the stream at once with RST_STREAM; what is queued is dropped. The
// handler's Closed has the status Canceled.
func (st *Stream) Cancel() {
	if o := st.method.out; o != nil {
		o.cancel(statusCanceled)
		return
	}
	st.marks.Or(markFinished)
	st.put(opCancel, nil)
}

// Post runs f on the stream's loop, unless the stream has ended by then.
// ErrClosed when it has already.
func (st *Stream) Post(f func(st *Stream)) error {
	if st.marks.Load()&markEnded != 0 || !st.put(opPost, f) {
		return ErrClosed
	}
	return nil
}

// obey does a command on the loop.
func (st *Stream) obey(c command) {
	if c.op == opReturn {
		st.returned(c.ref.(*detachment))
		return
	}
	if st.flags&ended != 0 {
		c.drop()
		return
	}
	switch c.op {
	case opSend:
		st.enqueue(c.ref.(*Buffer))
	case opFinish:
		st.finish(c.ref.(*Status))
	case opCancel:
		status := statusCanceled
		if c.ref != nil {
			status = c.ref.(*Status)
		}
		st.reset(h2.Cancel, status)
	case opCloseSend:
		st.flags |= sendDone
		if st.head == nil {
			st.halfClose()
		}
	case opHeader:
		a := st.answer()
		a.header = append(a.header, c.ref.(Metadata)...)
	case opSendHeader:
		a := st.answer()
		a.header = append(a.header, c.ref.(Metadata)...)
		st.sendHeader()
	case opTrailer:
		a := st.answer()
		a.trailer = append(a.trailer, c.ref.(Metadata)...)
	case opCredit:
		st.flags &^= starved
		st.credit()
		st.roomy()
	case opPost:
		st.run(c.ref.(func(*Stream)))
	}
}
