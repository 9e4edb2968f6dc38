package stream

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/weir-go/weir/internal/h2"
)

// fieldOf returns the value of a block's field, "" when it has none.
func fieldOf(b *h2.Block, name string) string {
	for i := range b.Fields {
		if b.Fields[i].Name == name {
			return b.Fields[i].Value
		}
	}
	return ""
}

// statusIn reads the status in trailers or, when there was no header, in the
// only block of a response.
func statusIn(b *h2.Block, headed bool) *Status {
	code := fieldOf(b, "grpc-status")
	if code == "" {
		if !headed {
			return fromHTTP(b.Status, fieldOf(b, "content-type"))
		}
		return &Status{Code: Unknown, Message: "the trailers have no grpc-status"}
	}
	n, err := strconv.ParseUint(code, 10, 32)
	if err != nil {
		return Statusf(Unknown, "a malformed grpc-status: %q", code)
	}
	if n == 0 {
		return statusOK
	}
	s := &Status{Code: Code(n), Message: decodeMessage(fieldOf(b, "grpc-message"))}
	if d := fieldOf(b, "grpc-status-details-bin"); d != "" {
		// Details that cannot be read are left out.
		s.Details, _ = base64.RawStdEncoding.DecodeString(strings.TrimRight(d, "="))
	}
	return s
}

// fromHTTP is the status of a response that is not gRPC's, as gRPC's
// http-grpc-status-mapping.md has it.
func fromHTTP(status, contentType string) *Status {
	code := Unknown
	switch status {
	case "400":
		code = Internal
	case "401":
		code = Unauthenticated
	case "403":
		code = PermissionDenied
	case "404":
		code = Unimplemented
	case "429", "502", "503", "504":
		code = Unavailable
	}
	return Statusf(code, "the response is not gRPC: HTTP status %s, content-type %q", status, contentType)
}

// foreignText is how much of a response that is not gRPC's is shown.
const foreignText = 512

// with appends what the server has written in place of messages.
func (s *Status) with(p []byte) *Status {
	room := max(foreignText-len(s.Message), 0)
	if room == 0 || len(p) == 0 {
		return s
	}
	text := strings.ToValidUTF8(string(p[:min(room, len(p))]), "?")
	return &Status{Code: s.Code, Message: s.Message + " " + strings.TrimSpace(text)}
}
