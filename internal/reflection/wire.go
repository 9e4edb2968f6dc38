package reflection

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weir-go/weir/stream"
)

// The kinds of questions: field numbers of ServerReflectionRequest in gRPC's
// reflection.proto, one of which is set.
const (
	fileByName       protowire.Number = 3
	fileOfSymbol     protowire.Number = 4
	fileOfExtension  protowire.Number = 5
	extensionNumbers protowire.Number = 6
	listServices     protowire.Number = 7
)

const hostField protowire.Number = 1

// question is a ServerReflectionRequest.
type question struct {
	host   string
	kind   protowire.Number // 0: none
	name   string           // of a file, a symbol or a message
	number int32            // of fileOfExtension
}

var errMalformed = errors.New("malformed request")

// parse reads a question. Of several kinds the last counts, as for any oneof;
// unknown fields are passed over.
func parse(p []byte) (q question, err error) {
	err = fields(p, func(n protowire.Number, v []byte, _ uint64) error {
		switch {
		case v == nil || n != hostField && (n < fileByName || n > listServices):
			return nil
		case n == fileOfExtension:
			q.kind = n
			return q.parseExtension(v)
		case !utf8.Valid(v):
			return errMalformed
		case n == hostField:
			q.host = string(v)
		default:
			q.kind, q.name = n, string(v)
		}
		return nil
	})
	return q, err
}

// parseExtension reads an ExtensionRequest.
func (q *question) parseExtension(p []byte) error {
	q.name, q.number = "", 0
	return fields(p, func(n protowire.Number, v []byte, i uint64) error {
		switch {
		case n == 1 && v != nil:
			if !utf8.Valid(v) {
				return errMalformed
			}
			q.name = string(v)
		case n == 2 && v == nil:
			q.number = int32(i)
		}
		return nil
	})
}

// fields calls f for each field of a message that has bytes or a varint: v is
// nil for the latter.
func fields(p []byte, f func(n protowire.Number, v []byte, i uint64) error) error {
	for len(p) > 0 {
		n, t, size := protowire.ConsumeTag(p)
		if size < 0 {
			return errMalformed
		}
		p = p[size:]
		var v []byte
		var i uint64
		switch t {
		case protowire.BytesType:
			if v, size = protowire.ConsumeBytes(p); v == nil {
				v = []byte{}
			}
		case protowire.VarintType:
			i, size = protowire.ConsumeVarint(p)
		default:
			if size = protowire.ConsumeFieldValue(n, t, p); size >= 0 {
				p = p[size:]
				continue
			}
		}
		if size < 0 {
			return errMalformed
		}
		if err := f(n, v, i); err != nil {
			return err
		}
		p = p[size:]
	}
	return nil
}

// answer is a ServerReflectionResponse that grows.
type answer []byte

func newAnswer(host string, asked []byte) answer {
	var a answer
	if host != "" {
		a = field(a, 1, []byte(host))
	}
	return field(a, 2, asked)
}

// files is a FileDescriptorResponse.
func (a answer) files(encoded map[string][]byte, names []string) []byte {
	var r []byte
	for _, name := range names {
		r = field(r, 1, encoded[name])
	}
	return field(a, 4, r)
}

// numbers is an ExtensionNumberResponse.
func (a answer) numbers(of string, all []protoreflect.ExtensionDescriptor) []byte {
	r := field(nil, 1, []byte(of))
	var packed []byte
	for _, x := range all {
		packed = protowire.AppendVarint(packed, uint64(x.Number()))
	}
	return field(a, 5, field(r, 2, packed))
}

// services is a ListServiceResponse.
func (a answer) services(names []string) []byte {
	var r []byte
	for _, name := range names {
		r = field(r, 1, field(nil, 1, []byte(name)))
	}
	return field(a, 6, r)
}

// fault is an ErrorResponse.
func (a answer) fault(c stream.Code, format string, args ...any) []byte {
	r := protowire.AppendTag(nil, 1, protowire.VarintType)
	r = protowire.AppendVarint(r, uint64(c))
	return field(a, 7, field(r, 2, fmt.Appendf(nil, format, args...)))
}

// field appends a field of bytes.
func field(dst []byte, n protowire.Number, v []byte) []byte {
	dst = protowire.AppendTag(dst, n, protowire.BytesType)
	return protowire.AppendBytes(dst, v)
}
