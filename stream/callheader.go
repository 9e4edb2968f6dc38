package stream

import (
	"encoding/base64"
	"strings"
	"time"

	"github.com/weir-go/weir/internal/h2"
)

// listSize is the request's header list as RFC 9113, section 6.5.2, counts it,
// without what every request has.
func (o *outgoing) listSize() (n int64) {
	for _, p := range o.header {
		v := len(p.Value)
		if strings.HasSuffix(p.Key, binSuffix) {
			v = base64.RawStdEncoding.EncodedLen(v)
		}
		n += int64(len(p.Key) + v + 32)
	}
	return n
}

// requestBlock writes a request's header block. What differs from call to call
// stays out of the dynamic table.
func (l *line) requestBlock(dst []byte, o *outgoing, left time.Duration) []byte {
	r, set := o.st.req, &l.client.set
	for _, f := range [...]Pair{
		{":method", "POST"}, {":scheme", set.Scheme}, {":path", r.path}, {":authority", r.authority},
		{"content-type", r.contentType}, {"te", "trailers"}, {"user-agent", set.UserAgent},
		{"grpc-accept-encoding", l.client.accepts},
	} {
		if f.Value != "" {
			dst = l.enc.Append(dst, f.Key, f.Value, false)
		}
	}
	if c := o.compressor; c != nil {
		dst = l.enc.Append(dst, "grpc-encoding", c.Name(), false)
	}
	if left != never {
		var b [12]byte
		dst = h2.AppendField(dst, "grpc-timeout", string(appendTimeout(b[:0], left)))
	}
	for _, p := range o.header {
		if strings.HasSuffix(p.Key, binSuffix) {
			dst = h2.AppendField(dst, p.Key, encodeBin(p.Value))
		} else {
			dst = l.enc.Append(dst, p.Key, p.Value, false)
		}
	}
	return dst
}
