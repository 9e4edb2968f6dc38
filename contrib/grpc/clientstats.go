package grpc

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

// clientReport tells stats.Handlers of one call.
type clientReport struct {
	cs     *clientStream
	ctx    context.Context // what TagRPC has returned
	method string
	start  time.Time
	header sync.Once
}

func newClientReport(cs *clientStream, method string) *clientReport {
	r := &clientReport{cs: cs, ctx: cs.ctx, method: method, start: time.Now()}
	for _, h := range cs.cc.cfg.Stats {
		r.ctx = h.TagRPC(r.ctx, &stats.RPCTagInfo{FullMethodName: method, FailFast: !cs.o.WaitForReady})
	}
	r.tell(&stats.Begin{
		Client:         true,
		BeginTime:      r.start,
		FailFast:       !cs.o.WaitForReady,
		IsClientStream: cs.desc.ClientStreams,
		IsServerStream: cs.desc.ServerStreams,
	})
	return r
}

func (r *clientReport) tell(s stats.RPCStats) {
	for _, h := range r.cs.cc.cfg.Stats {
		h.HandleRPC(r.ctx, s)
	}
}

// headerOut reports the request's header.
func (r *clientReport) headerOut(md metadata.MD) {
	r.tell(&stats.OutHeader{Client: true, FullMethod: r.method, Compression: r.cs.o.Compressor, Header: md})
}

// headerIn reports the response's header, once.
func (r *clientReport) headerIn() {
	r.header.Do(func() {
		st := r.cs.st
		r.tell(&stats.InHeader{Client: true, Compression: st.Encoding(), Header: r.cs.header()})
	})
}

func (r *clientReport) received(m any, n int, compressed bool) {
	r.headerIn()
	s := &stats.InPayload{Client: true, Payload: m, Length: n, RecvTime: time.Now()}
	if !compressed {
		s.CompressedLength, s.WireLength = n, n+prefixLen
	}
	r.tell(s)
}

func (r *clientReport) sent(m any, n int, compressed bool) {
	s := &stats.OutPayload{Client: true, Payload: m, Length: n, SentTime: time.Now()}
	if !compressed {
		s.CompressedLength, s.WireLength = n, n+prefixLen
	}
	r.tell(s)
}

// end reports the trailers, if the server has sent any, and the call's end.
func (r *clientReport) end(err error) {
	s := &stats.End{Client: true, BeginTime: r.start, EndTime: time.Now(), Error: err}
	if st := r.cs.st; st != nil {
		if st.HasHeader() {
			r.headerIn()
		}
		s.Trailer = r.cs.Trailer()
		r.tell(&stats.InTrailer{Client: true, Trailer: s.Trailer})
	}
	r.tell(s)
}
