package stream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/weir-go/weir/conn"
)

// Code is a gRPC status code.
type Code uint32

// The codes of gRPC.
const (
	OK                 Code = 0
	Canceled           Code = 1
	Unknown            Code = 2
	InvalidArgument    Code = 3
	DeadlineExceeded   Code = 4
	NotFound           Code = 5
	AlreadyExists      Code = 6
	PermissionDenied   Code = 7
	ResourceExhausted  Code = 8
	FailedPrecondition Code = 9
	Aborted            Code = 10
	OutOfRange         Code = 11
	Unimplemented      Code = 12
	Internal           Code = 13
	Unavailable        Code = 14
	DataLoss           Code = 15
	Unauthenticated    Code = 16
)

var codeNames = [...]string{
	"OK", "CANCELED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
	"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// String returns gRPC's name of the code, or its number.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return strconv.FormatUint(uint64(c), 10)
}

// Status is how a stream ends. It must not be changed once it is in use.
type Status struct {
	Code    Code
	Message string
	Details []byte // an encoded google.rpc.Status for grpc-status-details-bin; nil: none

	cause error // of this end's; nil: none
}

// Statusf makes a Status with a formatted message.
func Statusf(c Code, format string, args ...any) *Status {
	return &Status{Code: c, Message: fmt.Sprintf(format, args...)}
}

// Error returns the code's name and the message.
func (s *Status) Error() string {
	if s.Message == "" {
		return "stream: " + s.Code.String()
	}
	return "stream: " + s.Code.String() + ": " + s.Message
}

// Unwrap returns what this end has that status for, if that is to be known: what
// a ClientConfig.Breaker has said.
func (s *Status) Unwrap() error { return s.cause }

// Is reports whether target is a *Status of the same code, or the context's
// error that the code stands for.
func (s *Status) Is(target error) bool {
	if t, ok := target.(*Status); ok {
		return t.Code == s.Code
	}
	return s.Code == Canceled && target == context.Canceled ||
		s.Code == DeadlineExceeded && (target == context.DeadlineExceeded || target == os.ErrDeadlineExceeded)
}

// Statuses that are sent as they are.
var (
	statusOK       = &Status{}
	statusCanceled = &Status{Code: Canceled, Message: "canceled"}
	statusDeadline = &Status{Code: DeadlineExceeded, Message: "the deadline has passed"}
	statusCrowded  = &Status{Code: ResourceExhausted, Message: "the byte budget is used up"}
	statusBusy     = &Status{Code: ResourceExhausted, Message: "too many calls at once"}
)

// StatusOf returns the status that err stands for: nil is OK, a *Status itself
// (also wrapped, then with err's whole text as its message), a context's error
// its code, what has ended Unavailable, what is full or busy ResourceExhausted;
// everything else is Unknown.
func StatusOf(err error) *Status {
	var s *Status
	switch {
	case err == nil:
		return statusOK
	case errors.As(err, &s):
		if s == nil {
			return statusOK
		}
		if wrapped := error(s) != err; wrapped {
			return &Status{Code: s.Code, Message: err.Error(), Details: s.Details, cause: s.cause}
		}
		return s
	case errors.Is(err, context.Canceled):
		return &Status{Code: Canceled, Message: err.Error()}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return &Status{Code: DeadlineExceeded, Message: err.Error()}
	case errors.Is(err, ErrClosed): // what was to be subscribed to is ending
		return &Status{Code: Unavailable, Message: err.Error()}
	case errors.Is(err, ErrFull), errors.Is(err, ErrBusy), errors.Is(err, ErrSubscribers), errors.Is(err, conn.ErrBusy):
		return &Status{Code: ResourceExhausted, Message: err.Error()}
	}
	return &Status{Code: Unknown, Message: err.Error()}
}

// asError is what a stream that ended with s tells its user: nil for OK.
func (s *Status) asError() error {
	if s == nil || s.Code == OK {
		return nil
	}
	return s
}
