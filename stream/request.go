package stream

import (
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/weir-go/weir/internal/h2"
)

// request is what a request's header says, in a form that streams with equal
// headers share: most calls over one connection carry the same fields, and then
// cost no memory of their own.
type request struct {
	path, authority, contentType string
	encoding                     string     // grpc-encoding, unless identity
	codec                        Compressor // for it
	md                           Metadata
	fields                       []h2.Field // as they came, without grpc-timeout
	header                       []byte     // the block of an answer without metadata
	fault                        *Status    // why it cannot be served
	status                       string     // HTTP's, when it is not even gRPC
	size                         int        // bytes that count against the budgets, as long as streams use it
	users                        int        // streams that do; the loop's
}

// freeRequest is how many bytes of a request's header are part of the price of a
// stream. Only what is larger is counted.
const freeRequest = 1 << 10

// keptRequest is how large a request's header may be that a session without a
// stream of it keeps for the next one, and nobody counts. With commas, 16 KiB of a
// header list can be half a megabyte.
const keptRequest = 8 << 10

// use counts a stream that has the request, unuse takes it off.
func (r *request) use(s *Session) {
	if r.users++; r.users == 1 && r.size > 0 {
		s.fat += int64(r.size)
		s.hold(r.size)
	}
}

func (r *request) unuse(s *Session) {
	if s.line != nil {
		return // a stream that this end has opened: its request is the caller's
	}
	if r.users--; r.users == 0 && r.size > 0 {
		s.fat -= int64(r.size)
		s.release(r.size)
		if s.last == r && r.size > keptRequest {
			s.last = nil
		}
	}
}

// timeoutOf returns the request's grpc-timeout; ok is false when it is no
// time-out, d never when there is none.
func timeoutOf(b *h2.Block) (d time.Duration, ok bool) {
	for i := range b.Fields {
		if b.Fields[i].Name == "grpc-timeout" {
			return parseTimeout(b.Fields[i].Value)
		}
	}
	return never, true
}

// like reports whether a header block says the same as r's did.
func (r *request) like(b *h2.Block) bool {
	if r.path != b.Path || r.authority != b.Authority || b.Method != "POST" || b.TooLarge {
		return false
	}
	k := 0
	for i := range b.Fields {
		f := &b.Fields[i]
		if f.Name == "grpc-timeout" {
			continue
		}
		if k == len(r.fields) || r.fields[k].Value != f.Value || r.fields[k].Name != f.Name {
			return false
		}
		k++
	}
	return k == len(r.fields)
}

// request reads a header block.
func (s *Session) request(b *h2.Block) *request {
	if r := s.last; r != nil && r.like(b) {
		return r
	}
	r := &request{path: b.Path, authority: b.Authority}
	if fault := r.read(b, s.srv); fault != nil {
		r.fault = fault
	} else {
		s.last = r
	}
	r.header = r.answer(nil)
	return r
}

// read takes the fields over; the status says why the request cannot be served.
func (r *request) read(b *h2.Block, srv *Server) *Status {
	te := false
	for _, f := range b.Fields {
		switch f.Name {
		case "content-type":
			r.contentType = f.Value
		case "te":
			te = true
		case "grpc-encoding":
			r.encoding = f.Value
		case "host":
			if r.authority == "" {
				r.authority = f.Value
			}
		}
	}
	switch {
	case b.TooLarge:
		return Statusf(ResourceExhausted, "the header list is larger than %d bytes", srv.cfg.MaxHeaderList)
	case b.Method != "POST":
		r.status = "405"
		return Statusf(Internal, "the method is %s, not POST", clip(b.Method))
	case !isGRPC(r.contentType):
		r.status = "415"
		return Statusf(InvalidArgument, "the content-type %q is not application/grpc", clip(r.contentType))
	case !te:
		return &Status{Code: Internal, Message: "te: trailers is missing"}
	}
	if r.encoding == "identity" {
		r.encoding = ""
	}
	if r.encoding != "" {
		if r.codec = srv.codecs[r.encoding]; r.codec == nil {
			return Statusf(Unimplemented, "grpc: Decompressor is not installed for grpc-encoding %q", clip(r.encoding))
		}
	}
	r.fields = slices.DeleteFunc(slices.Clone(b.Fields), func(f h2.Field) bool { return f.Name == "grpc-timeout" })
	var fault *Status
	r.md, fault = metadataOf(r.fields)
	r.weigh()
	return fault
}

// weigh finds out what keeping the fields costs: their strings, and an entry in
// each of two lists. A field whose values are joined by commas can be as many
// entries as it has bytes.
func (r *request) weigh() {
	n := len(r.path) + cap(r.md)*int(unsafe.Sizeof(Pair{}))
	for i := range r.fields {
		n += len(r.fields[i].Name) + len(r.fields[i].Value) + int(unsafe.Sizeof(h2.Field{}))
	}
	if n > freeRequest {
		r.size = n
	}
}

// metadataOf makes the user's view of a header's fields.
func metadataOf(fields []h2.Field) (md Metadata, fault *Status) {
	n := 0
	for i := range fields {
		if !reserved(fields[i].Name) {
			n++
		}
	}
	if n == 0 {
		return nil, nil
	}
	md = make(Metadata, 0, n)
	for _, f := range fields {
		switch {
		case reserved(f.Name):
		case strings.HasSuffix(f.Name, binSuffix):
			ok := true
			if md, ok = decodeBin(md, f.Name, f.Value); !ok {
				return md, Statusf(Internal, "malformed binary metadata %q", clip(f.Name))
			}
		default:
			md = append(md, Pair{f.Name, f.Value})
		}
	}
	return md, nil
}

// isGRPC reports whether a content-type is gRPC's, with whatever encoding. It is
// sent back with the answer: nobody has one that is long.
func isGRPC(s string) bool {
	const want, most = "application/grpc", 256
	rest, ok := strings.CutPrefix(s, want)
	return ok && len(s) <= most && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// answer returns the header block of the response, up to its metadata.
func (r *request) answer(dst []byte) []byte {
	ct := r.contentType
	if !isGRPC(ct) {
		ct = "application/grpc"
	}
	dst = h2.AppendIndexed(dst, h2.IndexStatus200)
	return h2.AppendField(dst, "content-type", ct)
}

// appendMetadata appends metadata as it is sent.
func appendMetadata(dst []byte, md Metadata) []byte {
	for _, p := range md {
		v := p.Value
		if strings.HasSuffix(p.Key, binSuffix) {
			v = encodeBin(v)
		}
		dst = h2.AppendField(dst, p.Key, v)
	}
	return dst
}
