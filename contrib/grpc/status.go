package grpc

import (
	"errors"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/weir-go/weir/stream"
)

// appError gives a handler's error a status, as grpc-go does: one that has none
// is Unknown, but for those of contexts and of package stream.
func appError(err error) error {
	if err == nil {
		return nil
	}
	if s, ok := status.FromError(err); ok {
		return s.Err()
	}
	var s *stream.Status
	if errors.As(err, &s) && s != nil {
		return status.FromProto(protoOf(stream.StatusOf(err))).Err()
	}
	return status.FromContextError(err).Err()
}

// Status returns an error's status as package stream sends it, details included,
// for its Stream's Finish, its Topic's Close and its Handler's methods; nil for
// nil.
func Status(err error) error { return statusOf(appError(err)) }

// statusOf is an error with a status as package stream sends it; nil for nil.
func statusOf(err error) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	out := &stream.Status{Code: stream.Code(s.Code()), Message: s.Message()}
	if p := s.Proto(); len(p.GetDetails()) > 0 {
		// A status that cannot be encoded goes without its details.
		out.Details, _ = proto.Marshal(p)
	}
	return out
}

// protoOf is a status of package stream in grpc-go's form.
func protoOf(s *stream.Status) *spb.Status {
	p := &spb.Status{}
	if len(s.Details) == 0 || proto.Unmarshal(s.Details, p) != nil {
		p = &spb.Status{}
	}
	p.Code, p.Message = int32(s.Code), s.Message
	return p
}
