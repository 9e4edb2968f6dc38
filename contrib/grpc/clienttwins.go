package grpc

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/stream"
)

// Twins says how a ClientConn goes on with a stream for which its server has no
// room. A server that is short of something refuses streams, or ends those that
// have been idle, with Unavailable or ResourceExhausted and the trailers
//
//	weir-degraded: descriptors          what it is short of
//	weir-twin: /shop.Shop/Price         a unary method that stands in meanwhile
//	grpc-retry-pushback-ms: 30000       when to try the stream again
//
// and the caller's Recv goes on with what the twin answers:
//
//	        refused, with a twin                 pushback is over
//	stream ─────────────────────► twin, twin ... ─────────────────► stream
//	                                   ▲                               │
//	                                   └──────── refused again ────────┘
//
// The twin takes the stream's requests and answers with the stream's responses:
// the server that names it promises so. It is called by RecvMsg, on its goroutine,
// with the call's context, credentials and unary interceptors (whose request is a
// *stream.Message: it is encoded already).
//
// A server-streaming method's twin is asked with the stream's request, again and
// again: each answer is one message. What Recv returns is in order: an answer of
// the twin is of later than all that came before it. What the server would have
// sent on the stream meanwhile is not known to it; the stream begins anew when it
// is back, as if it had been called then. It has no end as long as the twin
// answers.
//
// A bidirectional method's twin is asked once for each message, in the order of
// SendMsg; RecvMsg returns the answers in that order, and io.EOF when all are
// answered after CloseSend. Each message that SendMsg took is given to one stream
// that has answered something or to one call of the twin; both only if the server
// has refused the former before its first answer, which it says by trailers
// without a header. A stream that was refused later ends its call: nobody knows
// what became of its messages. So does a call's first one on which more was sent
// before its first answer than Queue allows.
//
// The call ends with its context at once, with an error of the twin's that has no
// pushback, and with the stream's when that is not such a refusal. Retry.Times is
// not for streams that have a twin to follow. The zero value works.
type Twins struct {
	Every time.Duration // between two answers of a server-streaming method's twin, at least; its trailers may ask for more (grpc-retry-pushback-ms). 0: 1 s
	Most  time.Duration // until the stream is tried again, whatever the server says; this is also for a pushback below 0. 0: 1 min. Up to a fifth is added at random
	Queue int           // messages of a bidirectional call that wait for their turn, of 64 KiB together or one. 0: 64. Above: SendMsg waits

	// Changed is told when a call goes over to its twin and when the stream is
	// back, on the goroutine of a SendMsg or RecvMsg. nil: nobody.
	Changed func(TwinChange)
}

// TwinChange says that a call is served in another way.
type TwinChange struct {
	Method   string        // of the stream
	Twin     string        // that serves it now; "": the stream does again
	Resource string        // that the server is short of
	Back     time.Duration // until the stream is tried again
}

// TwinStats counts what a ClientConn with Twins has done.
type TwinStats struct {
	Now      int64  // calls that their twins serve
	Followed uint64 // times that a call went over to its twin
	Refused  uint64 // times that its stream was tried again, and was refused
	Returned uint64 // times that it was back
	Calls    uint64 // of twins
}

type twinCounters struct {
	now                                 atomic.Int64
	followed, refused, returned, called atomic.Uint64
}

// TwinStats returns the counts. Any goroutine.
func (cc *ClientConn) TwinStats() TwinStats {
	n := &cc.twins
	return TwinStats{n.now.Load(), n.followed.Load(), n.refused.Load(), n.returned.Load(), n.called.Load()}
}

// The trailers of a refusal.
const (
	pushbackKey = "grpc-retry-pushback-ms"
	degradedKey = "weir-degraded"
	twinKey     = "weir-twin"
)

// twinBytes is what the messages that wait may have together.
const twinBytes = 64 << 10

func (t *Twins) setDefaults() {
	if t.Every <= 0 {
		t.Every = time.Second
	}
	if t.Most <= 0 {
		t.Most = time.Minute
	}
	if t.Queue <= 0 {
		t.Queue = 64
	}
}

// twinOf returns the twin that a refusal names, "" when it is none.
func twinOf(err error, trailer metadata.MD) string {
	if c := status.Code(err); c != codes.Unavailable && c != codes.ResourceExhausted {
		return ""
	}
	twin, short := trailer.Get(twinKey), trailer.Get(degradedKey)
	if len(twin) != 1 || len(short) == 0 {
		return ""
	}
	service, name, ok := strings.Cut(strings.TrimPrefix(twin[0], "/"), "/")
	if !ok || service == "" || name == "" || twin[0][0] != '/' || strings.Contains(name, "/") {
		return ""
	}
	return twin[0]
}

// pushbackIn reads when a server wants to be asked again; as gRFC A6 has it,
// what is negative or no number says never.
func pushbackIn(trailer metadata.MD) (d time.Duration, said, ok bool) {
	v := trailer.Get(pushbackKey)
	if len(v) == 0 {
		return 0, false, false
	}
	ms, err := strconv.ParseInt(v[0], 10, 32)
	return time.Duration(ms) * time.Millisecond, true, err == nil && ms >= 0
}

// rest is how long a stream that was refused is left alone.
func (t *Twins) rest(trailer metadata.MD) time.Duration {
	d, said, ok := pushbackIn(trailer)
	switch {
	case !said:
		d = min(5*time.Second, t.Most)
	case !ok || d > t.Most:
		d = t.Most
	}
	d = max(d, min(t.Every, t.Most))
	return d + rand.N(d/5+1)
}

// apart splits a call's options into those of each of its streams and calls, and
// what the call as a whole has to fill in and tell.
func apart(opts []grpc.CallOption) (each []grpc.CallOption, whole callOptions) {
	for _, o := range opts {
		switch o.(type) {
		case grpc.HeaderCallOption, grpc.TrailerCallOption, grpc.PeerCallOption, grpc.OnFinishCallOption:
			whole.add(o) // these have no errors
		default:
			each = append(each, o)
		}
	}
	return each, whole
}

// once is the option of a stream that this package does again itself.
type once struct{ grpc.EmptyCallOption }

// wait waits until the instant at or until something is told; an error when the
// call has ended.
func (x *twinned) wait(at time.Time, told <-chan struct{}) error {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-told:
		return nil
	case <-x.ctx.Done():
		return status.FromContextError(x.ctx.Err()).Err()
	case <-x.cc.life.Done():
		return clientError(stream.ErrClosed)
	}
}

// ask calls the twin. again says that it is to be asked once more, at the instant.
func (x *twinned) ask(twin string, req *stream.Message, m any) (again time.Time, err error) {
	var trailer metadata.MD
	opts := append(x.each[:len(x.each):len(x.each)], grpc.Trailer(&trailer))
	x.cc.twins.called.Add(1)
	err = x.cc.Invoke(x.ctx, twin, req, m, opts...)
	d, said, ok := pushbackIn(trailer)
	d = min(max(d, x.set.Every), max(x.set.Most, x.set.Every))
	switch code := status.Code(err); {
	case err == nil && said && !ok:
		return time.Now().Add(x.set.Most), nil
	case err == nil:
		return time.Now().Add(d), nil
	case x.cc.life.Err() != nil: // whatever has become of a call that was under way
		return time.Time{}, clientError(stream.ErrClosed)
	case ok && x.ctx.Err() == nil && (code == codes.Unavailable || code == codes.ResourceExhausted):
		return time.Now().Add(d), errAgain
	}
	return time.Time{}, err
}

// errAgain says that a twin was refused and may be asked again.
var errAgain = status.Error(codes.Unavailable, "grpc: the twin has no room")
