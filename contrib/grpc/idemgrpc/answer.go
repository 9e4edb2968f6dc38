package idemgrpc

import (
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weir-go/weir/idem"
)

// Reasons of an ErrorInfo, whose domain is Domain.
const (
	Domain = "idem"

	ReasonMissing     = "IDEMPOTENCY_KEY_MISSING"
	ReasonKey         = "IDEMPOTENCY_KEY_INVALID"
	ReasonBusy        = "IDEMPOTENCY_KEY_IN_PROGRESS"
	ReasonMismatch    = "IDEMPOTENCY_KEY_REUSED"
	ReasonTooLarge    = "REQUEST_TOO_LARGE"
	ReasonNotKept     = "RESPONSE_NOT_KEPT"
	ReasonUnavailable = "STORE_UNAVAILABLE" // nothing was done
	ReasonUnknown     = "EFFECT_UNKNOWN"
)

// A stored answer begins with what it is.
const (
	message byte = 1 // a google.protobuf.Any with the response
	failure byte = 2 // a google.rpc.Status
)

// result is a handler's answer as Do wants it: to store, or an error that says
// what it means for the effect.
func result(resp any, err error) ([]byte, error) {
	kind, stored := message, proto.Message(nil)
	if err != nil {
		s, final, meaning := outcome(err)
		if !final {
			return nil, meaning
		}
		kind, stored = failure, s.Proto()
	} else {
		m, isProto := resp.(proto.Message)
		if !isProto {
			return nil, errors.New("idemgrpc: response is no message")
		}
		a, err := anypb.New(m)
		if err != nil {
			return nil, err
		}
		stored = a
	}
	return proto.MarshalOptions{}.MarshalAppend([]byte{kind}, stored)
}

// replay is the answer that was stored.
func replay(b []byte) (any, error) {
	if len(b) == 0 {
		return nil, errStored
	}
	switch b[0] {
	case message:
		var a anypb.Any
		if err := proto.Unmarshal(b[1:], &a); err != nil {
			return nil, errStored
		}
		m, err := a.UnmarshalNew()
		if err != nil {
			return nil, status.Errorf(codes.Internal, "%v: %v", errStored, err)
		}
		return m, nil
	case failure:
		var s spb.Status
		if err := proto.Unmarshal(b[1:], &s); err != nil || s.Code == int32(codes.OK) {
			return nil, errStored
		}
		return nil, status.ErrorProto(&s)
	}
	return nil, errStored
}

// refused is what a client is told about what is in the way.
func refused(err error) error {
	var e *idem.Error
	switch {
	case errors.Is(err, idem.ErrBusy):
		left := time.Second
		if errors.As(err, &e) && e.Left > 0 {
			left = min(left, e.Left)
		}
		return refusal(codes.Aborted, ReasonBusy, "a call with this "+KeyHeader+" is in progress",
			&errdetails.RetryInfo{RetryDelay: durationpb.New(left)})
	case errors.Is(err, idem.ErrMismatch):
		return refusal(codes.FailedPrecondition, ReasonMismatch, "this "+KeyHeader+" was used for another request")
	case errors.Is(err, idem.ErrKey):
		return refusal(codes.InvalidArgument, ReasonKey, KeyHeader+" cannot be used")
	case errors.Is(err, idem.ErrTooLarge):
		return refusal(codes.InvalidArgument, ReasonTooLarge, "the request is too large")
	case errors.Is(err, idem.ErrNotKept):
		return refusal(codes.AlreadyExists, ReasonNotKept, "it was done, and the response was not kept")
	case errors.Is(err, idem.ErrUnavailable):
		return refusal(codes.Unavailable, ReasonUnavailable, "nothing was done: what was done before cannot be looked up")
	case errors.Is(err, idem.ErrUnknown), errors.Is(err, idem.ErrStuck):
		return refusal(codes.Internal, ReasonUnknown, "it is not known whether it was done, and somebody has to look")
	}
	return status.FromContextError(err).Err()
}

// refusal is a status with an ErrorInfo.
func refusal(code codes.Code, reason, text string, more ...protoadapt.MessageV1) error {
	s := status.New(code, text)
	details := append([]protoadapt.MessageV1{&errdetails.ErrorInfo{Domain: Domain, Reason: reason}}, more...)
	if with, err := s.WithDetails(details...); err == nil {
		s = with
	}
	return s.Err()
}
