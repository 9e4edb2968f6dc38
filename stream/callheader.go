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

// headerTable writes the header blocks of a line. As long as calls are alike and
// nothing comes into the dynamic table, their common part is written once.
type headerTable struct {
	enc    h2.Encoder
	grown  bool     // something has come into the table since the last look
	common []byte   // what like and codec are written as
	like   *request // nil: common is not valid
	codec  Compressor
}

func (x *headerTable) append(dst []byte, name, value string) []byte {
	n := len(dst)
	dst = x.enc.Append(dst, name, value, false)
	const indexed = 0x80 // RFC 7541, section 6.1: in the table already
	if dst[n]&indexed == 0 {
		x.grown, x.like = true, nil
	}
	return dst
}

// requestBlock writes a request's header block. What differs from call to call
// stays out of the dynamic table.
func (l *line) requestBlock(dst []byte, o *outgoing, left time.Duration) []byte {
	x := &l.table
	if r := o.st.req; x.like != r || x.codec != o.compressor {
		x.grown = false
		n := len(dst)
		dst = l.commonBlock(dst, o)
		if !x.grown {
			x.common, x.like, x.codec = append(x.common[:0], dst[n:]...), r, o.compressor
		}
	} else {
		dst = append(dst, x.common...)
	}
	if left != never {
		var b [12]byte
		dst = h2.AppendField(dst, "grpc-timeout", string(appendTimeout(b[:0], left)))
	}
	for _, p := range o.header {
		if strings.HasSuffix(p.Key, binSuffix) {
			dst = h2.AppendField(dst, p.Key, encodeBin(p.Value))
		} else {
			dst = x.append(dst, p.Key, p.Value)
		}
	}
	return dst
}

// commonBlock writes what calls of one method have in common.
func (l *line) commonBlock(dst []byte, o *outgoing) []byte {
	r, set, x := o.st.req, &l.client.set, &l.table
	for _, f := range [...]Pair{
		{":method", "POST"}, {":scheme", set.Scheme}, {":path", r.path}, {":authority", r.authority},
		{"content-type", r.contentType}, {"te", "trailers"}, {"user-agent", set.UserAgent},
		{"grpc-accept-encoding", l.client.accepts},
	} {
		if f.Value != "" {
			dst = x.append(dst, f.Key, f.Value)
		}
	}
	if c := o.compressor; c != nil {
		dst = x.append(dst, "grpc-encoding", c.Name())
	}
	return dst
}
