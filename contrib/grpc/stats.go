package grpc

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

// prefixLen is what a message has in front on the wire.
const prefixLen = 5

// report tells stats.Handlers of one call.
type report struct {
	c     *call
	all   []stats.Handler
	ctx   context.Context // what TagRPC has returned
	start time.Time

	mu              sync.Mutex // metadata may be set from any goroutine
	header, trailer metadata.MD
	headerTold      bool
}

func newReport(c *call) *report {
	return &report{c: c, all: c.srv.cfg.Stats, start: time.Now()}
}

// tag lets every handler add to the context.
func (r *report) tag(ctx context.Context) context.Context {
	for _, h := range r.all {
		ctx = h.TagRPC(ctx, &stats.RPCTagInfo{FullMethodName: r.c.st.Method()})
	}
	r.ctx = ctx
	return ctx
}

// tell gives an event to every handler.
func (r *report) tell(s stats.RPCStats) {
	for _, h := range r.all {
		h.HandleRPC(r.ctx, s)
	}
}

// begin reports the request's header and the call's begin.
func (r *report) begin(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	p := peerOf(r.c.st)
	r.tell(&stats.InHeader{
		FullMethod:  r.c.st.Method(),
		RemoteAddr:  p.Addr,
		LocalAddr:   p.LocalAddr,
		Compression: r.c.st.Encoding(),
		Header:      md,
	})
	r.tell(&stats.Begin{
		BeginTime:      r.start,
		IsClientStream: r.c.clientStreams,
		IsServerStream: r.c.serverStreams,
	})
}

func (r *report) received(m any, n int, compressed bool) {
	s := &stats.InPayload{Payload: m, Length: n, RecvTime: time.Now()}
	if !compressed {
		s.CompressedLength, s.WireLength = n, n+prefixLen
	}
	r.tell(s)
}

func (r *report) sent(m any, n int, compressed bool) {
	r.headerOut()
	s := &stats.OutPayload{Payload: m, Length: n, SentTime: time.Now()}
	if !compressed {
		s.CompressedLength, s.WireLength = n, n+prefixLen
	}
	r.tell(s)
}

func (r *report) addHeader(md metadata.MD) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.header = metadata.Join(r.header, md)
}

func (r *report) addTrailer(md metadata.MD) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trailer = metadata.Join(r.trailer, md)
}

// headerOut reports the answer's header, once.
func (r *report) headerOut() {
	r.mu.Lock()
	told, md := r.headerTold, r.header
	r.headerTold = true
	r.mu.Unlock()
	if !told {
		r.tell(&stats.OutHeader{Compression: r.c.st.Encoding(), Header: md})
	}
}

// end reports the trailers and the call's end.
func (r *report) end(err error) {
	r.mu.Lock()
	md := r.trailer
	r.mu.Unlock()
	r.tell(&stats.OutTrailer{Trailer: md})
	r.tell(&stats.End{BeginTime: r.start, EndTime: time.Now(), Error: err})
}
