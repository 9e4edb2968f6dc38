package stream

import (
	"errors"

	"github.com/weir-go/weir/internal/h2"
)

// What a stream, a server or a topic can answer. Compare with errors.Is: the
// cause may be wrapped. What a stream itself ends with is a *Status.
var (
	ErrClosed    = errors.New("stream: closed")
	ErrFull      = errors.New("stream: the send queue is full")
	ErrMethod    = errors.New("stream: a method needs a path like /service/method and one way to serve it")
	ErrDuplicate = errors.New("stream: the method is registered already")
	ErrHeader    = errors.New("stream: the header has been sent")
	ErrMetadata  = errors.New("stream: metadata that cannot be sent")
	ErrNoServe   = errors.New("stream: only a server's stream may do this, Detach only one of a method with Go")
	ErrNoCall    = errors.New("stream: only a Client's stream may do this")
	ErrBusy      = errors.New("stream: too many calls wait for a connection")
)

// Why a session ended that had a peer.
var (
	errDead  = errors.New("stream: session: the peer does not answer")
	errGrace = errors.New("stream: session: its time is up")
)

// errCrowded ends a stream whose message does not fit beside the others that the
// session's peer has begun.
var errCrowded = errors.New("stream: too much has begun")

// fromH2 says which status a stream has that ended with a code of HTTP/2, as
// the gRPC protocol maps them.
func fromH2(c h2.Code) *Status {
	switch c {
	case h2.RefusedStream:
		return &Status{Code: Unavailable, Message: "the stream was refused"}
	case h2.Cancel, h2.NoError:
		return statusCanceled
	case h2.EnhanceYourCalm:
		return &Status{Code: ResourceExhausted, Message: "reset with ENHANCE_YOUR_CALM"}
	case h2.InadequateSecurity:
		return &Status{Code: PermissionDenied, Message: "reset with INADEQUATE_SECURITY"}
	case h2.StreamClosed:
		return &Status{Code: Unknown, Message: "reset with STREAM_CLOSED"}
	}
	return &Status{Code: Internal, Message: "reset with " + c.String()}
}
