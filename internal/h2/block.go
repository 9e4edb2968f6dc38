package h2

import (
	"strings"

	"golang.org/x/net/http2/hpack"
)

// Field is one header or trailer field. Its strings may be kept.
type Field = hpack.HeaderField

// Block is a decoded header block. It is valid as long as the call that shows
// it; its strings may be kept.
type Block struct {
	// Pseudo-header fields, empty where there were none.
	Method, Scheme, Authority, Path, Status string

	Fields        []Field // the others, in their order
	ContentLength int64   // as declared; -1: not
	TooLarge      bool    // above Config.MaxHeaderList: fields are missing
}

// seen are the fields that may come only once.
type seen uint8

const (
	seenMethod seen = 1 << iota
	seenScheme
	seenAuthority
	seenPath
	seenStatus
	seenRegular // any other: no pseudo-header field may follow
	seenLength
	seenHost
)

// others are seen beside the pseudo-header fields.
const others = seenRegular | seenLength | seenHost

// fieldOverhead is what a field counts above its strings, section 6.5.2.
const fieldOverhead = 32

// add takes in one field. What is wrong with it is noted, and told when the
// block has ended.
func (b *headerBlock) add(f Field) {
	b.list += len(f.Name) + len(f.Value) + fieldOverhead
	if b.list > b.limit {
		b.TooLarge = true
		return
	}
	if b.bad != "" {
		return
	}
	pseudo := strings.HasPrefix(f.Name, ":")
	if !pseudo {
		f.Value = trim(f.Value)
	}
	if !validValue(f.Value) {
		b.bad = "a field's value has a forbidden character"
		return
	}
	if pseudo {
		b.pseudo(f)
		return
	}
	b.seen |= seenRegular
	if !validName(f.Name) {
		b.bad = "a field's name has a forbidden character"
		return
	}
	if b.special(f); b.bad == "" {
		b.Fields = append(b.Fields, f)
	}
}

// pseudo takes in a pseudo-header field, section 8.3.
func (b *headerBlock) pseudo(f Field) {
	var bit seen
	var to *string
	switch f.Name {
	case ":method":
		bit, to = seenMethod, &b.Method
	case ":scheme":
		bit, to = seenScheme, &b.Scheme
	case ":authority":
		bit, to = seenAuthority, &b.Authority
	case ":path":
		bit, to = seenPath, &b.Path
	case ":status":
		bit, to = seenStatus, &b.Status
	default:
		b.bad = "an unknown pseudo-header field"
		return
	}
	switch {
	case b.seen&seenRegular != 0:
		b.bad = "a pseudo-header field after a regular one"
	case b.seen&bit != 0:
		b.bad = "a pseudo-header field twice"
	default:
		b.seen |= bit
		*to = f.Value
	}
}

// special looks at the fields that HTTP/2 has rules about.
func (b *headerBlock) special(f Field) {
	switch f.Name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		b.bad = "a connection-specific field" // section 8.2.2
	case "te":
		if f.Value != "trailers" {
			b.bad = "te is not trailers" // section 8.2.2
		}
	case "host": // section 8.3.1
		if b.seen&seenHost != 0 || b.Authority != "" && !strings.EqualFold(f.Value, b.Authority) {
			b.bad = "host is there twice or is not :authority"
		}
		b.seen |= seenHost
	case "content-length":
		n, ok := parseLength(f.Value)
		if !ok || b.seen&seenLength != 0 && n != b.ContentLength {
			b.bad = "content-length is not a length" // section 8.1.1
		}
		b.seen |= seenLength
		b.ContentLength = n
	}
}

// checkRequest applies section 8.3.1, and 8.5 for CONNECT. A list that was cut
// off may lack its pseudo-header fields for that reason only.
func (b *headerBlock) checkRequest() {
	const all = seenMethod | seenScheme | seenPath
	switch {
	case b.bad != "":
	case b.seen&seenStatus != 0:
		b.bad = ":status in a request"
	case b.TooLarge && b.seen&all != all:
	case b.Method == "CONNECT":
		if b.seen&all != seenMethod || b.Authority == "" {
			b.bad = "CONNECT with :scheme or :path, or without :authority"
		}
	case b.seen&all != all:
		b.bad = "a pseudo-header field is missing"
	case b.Method == "" || b.Scheme == "" || b.Path == "":
		b.bad = "an empty pseudo-header field"
	case b.Path[0] != '/' && b.Path != "*" && (b.Scheme == "http" || b.Scheme == "https"):
		b.bad = ":path does not begin with a slash"
	case b.end && b.ContentLength > 0:
		b.bad = "content-length without content"
	}
}

// checkResponse applies section 8.3.2 and reports an informational response.
func (b *headerBlock) checkResponse() (informational bool) {
	s := b.Status
	switch {
	case b.bad != "" || b.TooLarge && b.seen&^others == 0:
	case b.seen&^others != seenStatus:
		b.bad = "a response has :status and no other pseudo-header field"
	case len(s) != 3 || s[0] < '1' || s[0] > '9' || !digit(s[1]) || !digit(s[2]):
		b.bad = ":status is not three digits"
	case s == "101":
		b.bad = "101 does not exist here" // section 8.6
	}
	return b.bad == "" && s != "" && s[0] == '1'
}

// checkTrailers applies section 8.1: no pseudo-header fields.
func (b *headerBlock) checkTrailers() {
	if b.bad == "" && b.seen&^others != 0 {
		b.bad = "a pseudo-header field in trailers"
	}
}

func parseLength(s string) (n int64, ok bool) {
	if s == "" || len(s) > 18 {
		return -1, false
	}
	for i := range len(s) {
		if !digit(s[i]) {
			return -1, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

func digit(b byte) bool { return '0' <= b && b <= '9' }

// validName applies section 8.2.1: no upper case, no white space or control
// characters, no colon (the pseudo-header fields' has been looked at).
func validName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == ':' || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return s != ""
}

// trim takes white space around a field's value off. Section 8.2.1 forbids it, but
// gRPC says of metadata that it may be stripped, and its implementations send what
// they are given: a status whose message ends in a blank is not to cost the call.
func trim(s string) string {
	for s != "" && blank(s[0]) {
		s = s[1:]
	}
	for s != "" && blank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// validValue applies section 8.2.1: no NUL, LF or CR, and no white space around
// the value.
func validValue(s string) bool {
	if s == "" {
		return true
	}
	if blank(s[0]) || blank(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c == 0 || c == '\n' || c == '\r' {
			return false
		}
	}
	return true
}

func blank(b byte) bool { return b == ' ' || b == '\t' }
