package h2

import (
	"errors"
	"strconv"
)

// Code is an error code of RFC 9113, section 7.
type Code uint32

const (
	NoError            Code = 0x0
	ProtocolError      Code = 0x1
	InternalError      Code = 0x2
	FlowControlError   Code = 0x3
	SettingsTimeout    Code = 0x4
	StreamClosed       Code = 0x5
	FrameSizeError     Code = 0x6
	RefusedStream      Code = 0x7
	Cancel             Code = 0x8
	CompressionError   Code = 0x9
	ConnectError       Code = 0xa
	EnhanceYourCalm    Code = 0xb
	InadequateSecurity Code = 0xc
	HTTP11Required     Code = 0xd
)

var codeNames = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR",
	"SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM",
	"CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
	"INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

// String returns the name that the RFC gives the code, or its number.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "0x" + strconv.FormatUint(uint64(c), 16)
}

// Error ends a connection or, with Stream set, one stream.
type Error struct {
	Code    Code
	Stream  uint32 // 0: the connection
	Section string // of RFC 9113 that was broken; empty where a limit of ours was
	Reason  string
}

// Error says what was wrong and where the RFC says so.
func (e *Error) Error() string {
	s := "h2: " + e.Code.String()
	if e.Stream != 0 {
		s += " on stream " + strconv.FormatUint(uint64(e.Stream), 10)
	}
	s += ": " + e.Reason
	if e.Section != "" {
		s += " (RFC 9113, " + e.Section + ")"
	}
	return s
}

// Is reports whether target is an *Error of the same code and scope; a target
// without a Reason stands for all of them.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.Stream != 0) == (e.Stream != 0) &&
		(t.Reason == "" || t.Reason == e.Reason)
}

// Why Core.Open opens no stream. Compare with errors.Is.
var (
	ErrStreams = errors.New("h2: the peer allows no more streams at once")
	ErrGoAway  = errors.New("h2: the connection takes no new streams")
	ErrIDs     = errors.New("h2: the connection has used up its stream identifiers")
)
