package grpc

import (
	"context"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/stream"
)

// twinned is one call that may be served by its method's twin: the
// grpc.ClientStream of its caller. It has no goroutine: SendMsg leaves messages,
// RecvMsg calls the twin and looks whether the stream is back.
//
//	SendMsg ──► live stream ──────────────┐ nothing came back yet: a copy is kept
//	   │                                  ▼
//	   └──────► kept, in order ──► RecvMsg: twin ──► the answer
type twinned struct {
	cc     *ClientConn
	set    *Twins
	desc   *grpc.StreamDesc
	method string
	ctx    context.Context
	each   []grpc.CallOption // of each stream and each call of the twin
	whole  callOptions       // of all together
	codec  codec

	once sync.Once
	stop func() bool // ends the watch on ctx; nil: nobody watches

	mu     sync.Mutex
	told   chan struct{} // closed, and another one made, when something below has changed
	live   *clientStream // nil: the twin serves
	last   *clientStream // that was live
	sure   bool          // live has answered, or too much was sent: nothing is kept
	moving bool          // live is being made: what is kept goes there first
	kept   []*stream.Message
	bytes  int  // of kept
	closed bool // CloseSend
	over   bool
	end    error // nil, when over: io.EOF

	twin  string
	away  bool        // it has gone over to the twin, and is not back
	short metadata.MD // the trailers of the refusal
	next  time.Time   // when the twin is asked again
	back  time.Time   // when the stream is tried again
}

var _ grpc.ClientStream = (*twinned)(nil)

// follow begins a call that follows its twin.
func (cc *ClientConn) follow(ctx context.Context, desc *grpc.StreamDesc, method string, opts []grpc.CallOption) (grpc.ClientStream, error) {
	x := &twinned{cc: cc, set: cc.cfg.Twins, desc: desc, method: method, ctx: ctx, told: make(chan struct{})}
	x.each, x.whole = apart(opts)
	live, err := x.open()
	if err != nil {
		x.conclude(err)
		return nil, err
	}
	x.live, x.last, x.codec = live, live, live.codec
	if len(x.whole.onFinish) > 0 {
		x.watch()
	}
	return x, nil
}

func (x *twinned) open() (*clientStream, error) {
	return x.cc.open(x.ctx, x.desc, x.method, append(x.each[:len(x.each):len(x.each)], once{}))
}

// Context returns the call's context.
func (x *twinned) Context() context.Context { return x.ctx }

// Header waits for the header of the stream that serves now; while the twin does
// it is the refusal's trailers, with weir-degraded among them.
func (x *twinned) Header() (metadata.MD, error) {
	x.mu.Lock()
	live, short := x.live, x.short
	x.mu.Unlock()
	if live == nil {
		return short.Copy(), nil
	}
	md, err := live.Header()
	if md == nil && err == nil && twinOf(x.ended(live), live.Trailer()) != "" {
		return live.Trailer(), nil
	}
	return md, err
}

// Trailer returns the trailers of the last stream that has ended.
func (x *twinned) Trailer() metadata.MD {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.last.Trailer()
}

// ended is how a stream has ended: nil when it has not, or with OK.
func (x *twinned) ended(s *clientStream) error {
	if st, over := s.st.Ended(); over {
		return clientError(st)
	}
	return nil
}

// news wakes who waits for something that has changed. mu is held.
func (x *twinned) news() {
	close(x.told)
	x.told = make(chan struct{})
}

// RecvMsg waits for the next message of the stream, or calls its twin, and decodes
// it into m. io.EOF when the call has ended with OK, otherwise an error with its
// status.
func (x *twinned) RecvMsg(m any) error {
	for {
		x.mu.Lock()
		live, over, end := x.live, x.over, x.end
		x.mu.Unlock()
		var got bool
		var err error
		switch {
		case over && end == nil:
			return io.EOF
		case over:
			return end
		case live == nil:
			got, err = x.serve(m)
		default:
			if err = live.RecvMsg(m); err == nil {
				x.answered(live)
				return nil
			}
			if x.gone(live, err) {
				continue
			}
		}
		if err != nil {
			return x.finish(err)
		}
		if got {
			return nil
		}
	}
}

// answered notes that a stream is good for something.
func (x *twinned) answered(live *clientStream) {
	x.mu.Lock()
	if x.over || x.sure && !x.away { // what is over has been counted
		x.mu.Unlock()
		return
	}
	x.settle()
	x.news()
	back := x.away
	if back {
		x.away = false
	}
	x.mu.Unlock()
	if back {
		x.cc.twins.returned.Add(1)
		x.cc.twins.now.Add(-1)
		x.changed(TwinChange{Method: x.method})
	}
}

// gone goes over to the twin when a stream has ended with a refusal that names
// one, and all that was sent is there; false when it has not.
func (x *twinned) gone(live *clientStream, err error) bool {
	x.mu.Lock()
	if x.over || x.live != live {
		x.mu.Unlock()
		return true
	}
	trailer := live.Trailer()
	twin := twinOf(err, trailer)
	lost := x.desc.ClientStreams && (x.sure || live.st.HasHeader()) || !x.desc.ClientStreams && len(x.kept) == 0
	if twin == "" || lost {
		x.mu.Unlock()
		return false
	}
	rest := x.set.rest(trailer)
	now := time.Now()
	first := !x.away
	x.live, x.away, x.twin, x.short = nil, true, twin, trailer
	x.back = now.Add(rest)
	if first { // otherwise it has its interval still
		x.next = now
	}
	x.news()
	x.mu.Unlock()
	live.finish(err)
	if !first {
		x.cc.twins.refused.Add(1)
		return true
	}
	x.cc.twins.followed.Add(1)
	x.cc.twins.now.Add(1)
	x.watch()
	x.changed(TwinChange{Method: x.method, Twin: twin, Resource: trailer.Get(degradedKey)[0], Back: rest})
	return true
}

func (x *twinned) changed(c TwinChange) {
	if f := x.set.Changed; f != nil {
		f(c)
	}
}

// serve does one thing of what there is to do without a stream: it asks the twin,
// tries the stream, or waits for the time of either. got: m is filled.
func (x *twinned) serve(m any) (got bool, err error) {
	x.mu.Lock()
	now, told, twin, next, back := time.Now(), x.told, x.twin, x.next, x.back
	var req *stream.Message
	if len(x.kept) > 0 {
		req = x.kept[0]
		req.Retain()
		defer req.Release()
	}
	done := x.desc.ClientStreams && x.closed && req == nil
	x.mu.Unlock()
	switch {
	case done:
		return false, io.EOF
	case !now.Before(back):
		return false, x.reopen()
	case req == nil || now.Before(next):
		if req == nil || back.Before(next) {
			next = back
		}
		return false, x.wait(next, told)
	}
	again, err := x.ask(twin, req, m)
	x.mu.Lock()
	defer x.mu.Unlock()
	if err == errAgain {
		x.next = again
		return false, nil
	}
	if err == nil && !x.desc.ClientStreams {
		x.next = again
	} else if err == nil && len(x.kept) > 0 {
		x.drop(1)
		x.news()
	}
	return err == nil, err
}

// reopen tries the stream again, with all that waits for the twin.
func (x *twinned) reopen() error {
	live, err := x.open()
	if err != nil {
		return err
	}
	x.mu.Lock()
	x.moving = true
	kept := append([]*stream.Message(nil), x.kept...)
	for _, msg := range kept {
		msg.Retain()
	}
	x.mu.Unlock()
	for _, msg := range kept {
		if err == nil {
			err = live.SendMsg(msg) // io.EOF: RecvMsg says why
		}
		msg.Release()
	}
	x.mu.Lock()
	x.live, x.last, x.sure, x.moving = live, live, false, false
	closed := x.closed && x.desc.ClientStreams
	over, end := x.over, x.end
	x.news()
	x.mu.Unlock()
	if over { // meanwhile, for something that could not be sent: nobody receives from it
		live.abort(end)
		return nil
	}
	if closed {
		live.CloseSend()
	}
	if err == io.EOF {
		err = nil
	}
	return err
}

// finish ends the call as its caller has come to know it, and returns that.
func (x *twinned) finish(err error) error {
	x.mu.Lock()
	live, stop := x.live, x.stop
	x.mu.Unlock()
	if stop != nil {
		stop()
	}
	if live != nil {
		live.st.Cancel() // does nothing to one that has ended
	}
	if err == io.EOF {
		x.conclude(nil)
		return io.EOF
	}
	x.conclude(err)
	return err
}

// watch ends the call with its context even when nobody receives. On the caller's
// goroutines; one of them, as mu is not held.
func (x *twinned) watch() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.stop == nil && !x.over {
		x.stop = context.AfterFunc(x.ctx, func() { x.conclude(status.FromContextError(x.ctx.Err()).Err()) })
	}
}

// conclude is the end, once: nothing is kept, and all who want to know are told.
func (x *twinned) conclude(err error) {
	x.once.Do(func() {
		x.mu.Lock()
		x.over, x.end = true, err
		x.drop(len(x.kept))
		x.news()
		away, last := x.away, x.last
		x.mu.Unlock()
		if away {
			x.cc.twins.now.Add(-1)
		}
		if last != nil {
			last.tell(&x.whole)
		}
		for _, f := range x.whole.onFinish {
			f(err)
		}
	})
}
