package grpc

import (
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/weir-go/weir/stream"
)

// ErrForeign is the answer for a grpc.ServerStream whose context does not come
// from a Server of this package, or whose method is served inline.
var ErrForeign = errors.New("grpc: not a stream of this package's server")

// StreamOf returns the stream under a handler's grpc.ServerStream, also under
// interceptors' wrappers of it; nil when there is none.
func StreamOf(ss grpc.ServerStream) *stream.Stream { return stream.FromContext(ss.Context()) }

// Detach lets a generated handler return while its stream lives on without a
// goroutine: when the handler, and every interceptor around it, has returned
// nil, messages go to h's callbacks on the loop. With h nil they are dropped. The
// stream ends with stream.Stream's Finish, or when its client lets go. What
// interceptors and Stats see is the call's end at the handler's return. In a
// handler only; ErrForeign elsewhere.
func Detach(ss grpc.ServerStream, h stream.Handler) error {
	st := StreamOf(ss)
	if st == nil {
		return ErrForeign
	}
	if h == nil {
		h = silent{}
	}
	if err := st.Detach(h); err != nil {
		return ErrForeign
	}
	return nil
}

// silent is the handler of a stream that nobody listens to. It has no
// HalfClosed: the client's half-close, which is part of every server-streaming
// request, does not end the stream.
type silent struct{}

func (silent) Message(*stream.Stream, []byte) error { return nil }
func (silent) Closed(*stream.Stream, error)         {}

// Subscribe sends a topic's messages to the client of a server-streaming
// handler, which returns its result:
//
//	func (s *clock) Watch(req *pb.WatchRequest, ss pb.Clock_WatchServer) error {
//		return grpc.Subscribe(ss, s.ticks, stream.SubOptions{})
//	}
//
// From there on the stream has no goroutine; it ends with the topic, or when its
// client lets go. Messages that the handler has sent come first.
func Subscribe(ss grpc.ServerStream, t *stream.Topic, o stream.SubOptions) error {
	if err := Detach(ss, nil); err != nil {
		return err
	}
	if _, err := t.Subscribe(StreamOf(ss), o); err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	return nil
}

// Publish encodes a message once and publishes it; key is the topic's, for the
// policy stream.Conflate, or "". It never waits: errors are those of the topic's
// PublishMessage.
func Publish(t *stream.Topic, m proto.Message, key string) (seq uint64, err error) {
	enc, err := Encode(m)
	if err != nil {
		return 0, err
	}
	defer enc.Release()
	return t.PublishMessage(enc, key)
}
