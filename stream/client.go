package stream

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/conn"
)

// Client calls methods of one service, wherever it is served: any number of
// calls share a few connections, which it makes when they are needed and closes
// when they are not.
//
//	cli := stream.NewClient(rt, stream.ClientConfig{Targets: []conn.Addr{addr}})
//	st, err := cli.Call(ctx, "/chat.Chat/Talk", stream.CallOptions{})
//
//	Call ───┐            ┌─► connection 1 ─► its streams
//	Start ──┴─► waiting ─┤
//	                     └─► connection 2, when 1 is full
//
// Its methods may be called from any goroutine; those that wait, not from
// callbacks.
type Client struct {
	side
	rt    *conn.Runtime
	post  looper         // rt, but in tests
	dial  func(*attempt) // attempt.start, but in tests
	set   ClientConfig
	limbo *Session // has no connection: bytes of streams that wait are counted there
	nums  callCounters
	last  atomic.Pointer[request] // of the call before: most calls are alike

	life context.Context // of dials; ends with Close
	end  context.CancelFunc

	mu         sync.Mutex
	lines      []*line // that are ready, or were
	sessions   int
	queue      queue
	resting    queue   // calls that a server wants back later
	leaving    int     // that are on their way there
	budget     float64 // calls that may be done again: see Retry
	calls      int     // that have not ended
	dialing    *attempt
	turn       int // index of the next target
	failed     int // dials in a row that came to nothing
	rounds     int // in which all targets failed
	unused     int // connections in a row that left before a stream was opened on them
	cooling    *time.Timer
	barred     barred // since the last pause
	lastErr    error
	lastBarred bool          // it is a breaker's
	alive      time.Duration // Keepalive.Time, longer when a server has complained
	closing    bool          // no new calls
	closed     bool          // and none at all
	quiet      chan struct{} // closed when closing and the last call has ended
	gone       chan struct{} // closed when closed and the last connection has ended
}

// NewClient makes a Client. It connects when it is called. Its owner ends it
// with Close or Shutdown, before the runtime.
func NewClient(rt *conn.Runtime, cfg ClientConfig) *Client {
	cfg.setDefaults()
	c := &Client{rt: rt, post: rt, dial: (*attempt).start, set: cfg, alive: cfg.Keepalive.Time, quiet: make(chan struct{}), gone: make(chan struct{})}
	if cfg.Retry.Ratio > 0 {
		c.budget = float64(cfg.Retry.Burst)
	}
	c.settle(cfg.Config, true)
	c.limbo = &Session{own: &c.side}
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

// Authority returns what servers are asked for.
func (c *Client) Authority() string { return c.set.Authority }

// callee is a Client's stream in one piece, waited one that goroutines wait for.
type callee struct {
	st Stream
	o  outgoing
}

type waited struct {
	callee
	c call
}

// prepare makes a stream of x.
func (c *Client) prepare(x *callee, path string, co *CallOptions) error {
	if service, name, ok := cutPath(path); !ok || service == "" || name == "" {
		return ErrMethod
	}
	for _, p := range co.Header {
		if !validPair(p) {
			return ErrMetadata
		}
	}
	st, o := &x.st, &x.o
	if co.Compressor != "" {
		if o.compressor = c.codecs[co.Compressor]; o.compressor == nil {
			return Statusf(Internal, "no compressor %q is configured", co.Compressor)
		}
	}
	o.st, o.client, o.header, o.wait = st, c, co.Header, co.WaitForReady
	o.times = co.Retries
	zero(&o.times, c.set.Retry.Times)
	o.method = Method{MaxRecv: co.MaxRecv, MaxSend: co.MaxSend, own: &c.side, out: o}
	zero(&o.method.MaxRecv, c.cfg.MaxRecv)
	zero(&o.method.MaxSend, c.cfg.MaxSend)
	o.at.Store(c.limbo)
	st.h.Owner, st.sess, st.method = st, c.limbo, &o.method
	st.req = c.request(path, co)
	st.marks.Store(markHeader)
	if co.Timeout > 0 {
		o.setTime(co.Timeout)
	}
	return nil
}

// request is the part of a header that calls of one method share.
func (c *Client) request(path string, co *CallOptions) *request {
	contentType, authority := co.ContentType, co.Authority
	zero(&contentType, "application/grpc")
	zero(&authority, c.set.Authority)
	if r := c.last.Load(); r != nil && r.path == path && r.contentType == contentType && r.authority == authority {
		return r
	}
	r := &request{path: path, authority: authority, contentType: contentType}
	c.last.Store(r)
	return r
}

// onGoroutine stands for the goroutine of a call: its messages are for Recv.
func onGoroutine(*Stream) error { return nil }

// Call opens a stream for goroutines: SendWait, CloseSend, WaitHeader and Recv.
// Recv is given io.EOF when the call has ended with OK, otherwise the *Status.
// When there is no connection with room, Call waits for one, as long as ctx
// lets it: ErrBusy when MaxWaiting calls do already, a *Status when ctx has
// ended or no target can be reached, ErrClosed after Close and Shutdown.
//
// The stream ends with ctx at the latest. Who does not receive until an error
// must call Cancel, or end ctx: until then its messages are kept.
func (c *Client) Call(ctx context.Context, path string, co CallOptions) (*Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, StatusOf(err)
	}
	x := new(waited)
	if err := c.prepare(&x.callee, path, &co); err != nil {
		return nil, err
	}
	st, o := &x.st, &x.o
	o.method.Go = onGoroutine
	st.flags |= serving
	x.c.bind(st)
	if at, ok := ctx.Deadline(); ok && (o.until.IsZero() || at.Before(o.until)) {
		o.until, x.c.until = at, at
	}
	if err := c.begin(o); err != nil {
		return nil, err
	}
	if ctx.Done() != nil {
		o.watch(context.AfterFunc(ctx, func() { o.cancel(StatusOf(ctx.Err())) }))
	}
	if o.begun != nil {
		<-o.begun
		// One that was placed may have been answered already: Recv tells how.
		if st.marks.Load()&markEnded != 0 && o.at.Load() == c.limbo {
			return nil, st.final
		}
	}
	return st, nil
}

// bind makes c the call of a stream that nobody else knows yet.
func (c *call) bind(st *Stream) {
	c.st = st
	c.received.L, c.room.L = &c.mu, &c.mu
	if d := st.deadline; d != nil {
		c.until = d.until
	}
	st.call.Store(c)
}

// Start opens a stream for callbacks of h, on the loop of whatever connection it
// gets; a stream that gets none is closed on some loop. It never waits: what is
// sent before the stream is open is queued. With an error h is not called:
// ErrBusy when MaxWaiting calls wait already, ErrClosed after Close and
// Shutdown, Unavailable when no target could be reached a moment ago. Any
// goroutine, callbacks too. h nil: messages are dropped.
func (c *Client) Start(path string, co CallOptions, h Handler) (*Stream, error) {
	x := new(callee)
	if err := c.prepare(x, path, &co); err != nil {
		return nil, err
	}
	x.st.setHandler(h)
	if err := c.begin(&x.o); err != nil {
		return nil, err
	}
	return &x.st, nil
}

// WaitHeader waits for the response's header: nil when the response was a status
// only. The error is that *Status, when it is not OK. Of a Client's streams; not
// on a loop.
func (st *Stream) WaitHeader() (Metadata, error) {
	o := st.method.out
	if o == nil {
		return nil, ErrNoCall
	}
	o.mu.Lock()
	if !o.reply.headed && !o.over {
		if o.answer == nil {
			o.answer = make(chan struct{})
		}
		answer := o.answer
		o.mu.Unlock()
		<-answer
		o.mu.Lock()
	}
	r := o.reply
	o.mu.Unlock()
	if r.headed {
		return r.header, nil
	}
	return nil, st.final.asError()
}

// HasHeader reports whether the response's header is here. A response that is
// only a status has none.
func (st *Stream) HasHeader() bool {
	o := st.method.out
	return o != nil && o.response().headed
}

// Trailer returns the metadata of the response's trailers; nil before the stream
// has ended. Of a Client's streams. It is shared: not to be changed.
func (st *Stream) Trailer() Metadata {
	if o := st.method.out; o != nil {
		return o.response().trailer
	}
	return nil
}

// Ended returns how the stream has ended, and whether it has: messages may still
// wait for Recv. Any goroutine.
func (st *Stream) Ended() (*Status, bool) {
	if st.marks.Load()&markEnded == 0 {
		return nil, false
	}
	return st.final, true
}

// Shutdown takes no new calls, waits until those there are have ended, and
// closes. When ctx ends first, it closes at once and returns ctx's error. Not on
// a loop.
func (c *Client) Shutdown(ctx context.Context) error {
	c.mu.Lock()
	c.closing = true
	c.checkEnd()
	c.mu.Unlock()
	select {
	case <-c.quiet:
		return c.Close()
	case <-ctx.Done():
		c.Close()
		return ctx.Err()
	}
}

// Close ends all calls with Unavailable and closes the connections. It returns
// when they have gone. Not on a loop. Closing again does nothing.
func (c *Client) Close() error {
	var t todo
	c.mu.Lock()
	c.closing, c.closed = true, true
	if c.cooling != nil {
		c.cooling.Stop()
		c.cooling = nil
	}
	c.failWaiting(&t, &Status{Code: Unavailable, Message: "the client is closed"}, true)
	lines := append([]*line(nil), c.lines...)
	c.checkEnd()
	c.mu.Unlock()
	c.end()
	c.do(&t)
	for _, l := range lines {
		l.sess.Close()
	}
	<-c.gone
	return nil
}
