package grpc

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/stream"
)

// clientStream is one call: the grpc.ClientStream of its caller. As grpc-go's,
// one goroutine at a time may send and one receive.
type clientStream struct {
	cc    *ClientConn
	o     callOptions
	desc  *grpc.StreamDesc
	ctx   context.Context
	st    *stream.Stream
	codec codec
	stats *clientReport // nil: nobody is told
	got   bool          // a message was received
	sent  bool          // nothing more is sent

	once sync.Once
	stop func() bool // ends the watch on ctx
}

var _ grpc.ClientStream = (*clientStream)(nil)

// Context returns the call's context.
func (cs *clientStream) Context() context.Context { return cs.ctx }

// Header waits for the response's header. As grpc-go's it is nil, without an
// error, when the call has ended without one.
func (cs *clientStream) Header() (metadata.MD, error) {
	if cs.st.WaitHeader(); !cs.st.HasHeader() {
		return nil, nil // RecvMsg says why
	}
	return cs.header(), nil
}

// header is the response's header as grpc-go shows it.
func (cs *clientStream) header() metadata.MD {
	return shown(cs.st.Header(), cs.st.ContentType())
}

// shown is metadata as grpc-go shows it to clients.
func shown(all stream.Metadata, contentType string) metadata.MD {
	md := make(metadata.MD, len(all)+1)
	for _, p := range all {
		md[p.Key] = append(md[p.Key], p.Value)
	}
	if contentType != "" {
		md["content-type"] = []string{contentType}
	}
	return md
}

// Trailer returns the response's trailers; nil before the call has ended.
func (cs *clientStream) Trailer() metadata.MD {
	if _, over := cs.st.Ended(); !over {
		return nil
	}
	contentType := ""
	if !cs.st.HasHeader() {
		contentType = cs.st.ContentType()
	}
	return shown(cs.st.Trailer(), contentType)
}

// CloseSend says that no message follows.
func (cs *clientStream) CloseSend() error {
	cs.sent = true
	cs.st.CloseSend() // its only error is that it is too late
	return nil
}

// SendMsg encodes m and sends it; it waits as long as the server reads too
// slowly. io.EOF says that the call has ended: RecvMsg says how. A method that
// takes one message gets nil then, as with grpc-go: generated code calls RecvMsg
// only after that, and the call's status would be lost. m may also be a
// *stream.Message of Encode's.
func (cs *clientStream) SendMsg(m any) error {
	err := cs.send(m)
	if err != nil && err != io.EOF {
		cs.abort(err)
	}
	return err
}

func (cs *clientStream) send(m any) error {
	if cs.sent {
		return status.Error(codes.Internal, "SendMsg called after CloseSend")
	}
	if !cs.desc.ClientStreams {
		cs.sent = true
	}
	b, err := cs.codec.encode(m)
	if err != nil {
		return err
	}
	n := len(b.Bytes())
	if err := cs.st.SendWait(b); err != nil {
		var s *stream.Status
		if _, over := cs.st.Ended(); !over && errors.As(err, &s) {
			return clientError(err) // too large, or it cannot be compressed
		}
		if !cs.desc.ClientStreams {
			return nil
		}
		return io.EOF
	}
	if cs.sent {
		cs.st.CloseSend()
	}
	if cs.stats != nil {
		cs.stats.sent(m, n, cs.o.Compressor != "")
	}
	return nil
}

// RecvMsg waits for the next message and decodes it into m. io.EOF when the call
// has ended with OK, otherwise an error with its status.
func (cs *clientStream) RecvMsg(m any) error {
	err := cs.recv(m)
	if err == nil && cs.desc.ServerStreams {
		return nil
	}
	if err == nil { // a single response: nothing may follow it
		if _, err = cs.next(); err == nil {
			err = status.Error(codes.Internal, "cardinality violation: expected <EOF> for non server-streaming RPCs, but received another message")
		}
		if err == io.EOF {
			cs.finish(nil)
			return nil
		}
	}
	cs.abort(err)
	return err
}

func (cs *clientStream) recv(m any) error {
	p, err := cs.next()
	if err == io.EOF && !cs.desc.ServerStreams && !cs.got {
		return status.Error(codes.Internal, "cardinality violation: received no response message from non-server-streaming RPC")
	}
	if err != nil {
		return err
	}
	if err := cs.codec.decode(p, m); err != nil {
		return err
	}
	cs.got = true
	if cs.stats != nil {
		cs.stats.received(m, len(p), cs.st.Encoding() != "")
	}
	return nil
}

func (cs *clientStream) next() ([]byte, error) {
	p, err := cs.st.Recv()
	return p, clientError(err)
}

// abort ends the call for this end, if it has not ended.
func (cs *clientStream) abort(err error) {
	cs.st.Cancel()
	if err == io.EOF {
		err = nil
	}
	cs.finish(err)
}

// hooked watches over the call's context where somebody wants to be told of the
// end. Invoke is its own watch: it receives until the end.
func (cs *clientStream) hooked() {
	if cs.desc != unaryDesc && (cs.stats != nil || len(cs.o.onFinish) > 0) {
		cs.stop = context.AfterFunc(cs.ctx, func() { cs.conclude(status.FromContextError(cs.ctx.Err()).Err()) })
	}
}

// finish is the call's end as its caller has come to know it.
func (cs *clientStream) finish(err error) {
	if cs.stop != nil {
		cs.stop()
	}
	cs.conclude(err)
}

// conclude tells all who want to know how the call has ended, once.
func (cs *clientStream) conclude(err error) {
	cs.once.Do(func() {
		if cs.st != nil {
			cs.tell(&cs.o)
		}
		for _, f := range cs.o.onFinish {
			f(err)
		}
		if cs.stats != nil {
			cs.stats.end(err)
		}
	})
}

// tell fills in what the call's options point to.
func (cs *clientStream) tell(o *callOptions) {
	for _, md := range o.headers {
		*md = nil
		if cs.st.HasHeader() {
			*md = cs.header()
		}
	}
	for _, md := range o.trailers {
		*md = cs.Trailer()
	}
	for _, p := range o.peers {
		if cs.st.Session() != nil {
			*p = *peerOf(cs.st)
		}
	}
}
