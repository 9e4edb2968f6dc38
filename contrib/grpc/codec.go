package grpc

import (
	"math"
	"reflect"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec of calls that name none
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/weir-go/weir/stream"
)

// codec turns messages into bytes and back.
type codec struct {
	encoding.CodecV2

	// stock: grpc-go's own codec for protobuf. What it does is known: it keeps
	// no bytes of what it decodes, and encodes as MarshalAppend does. So bytes
	// in are lent to it where they lie, and bytes out are encoded in place.
	stock bool
}

const protoPath = "google.golang.org/grpc/encoding/proto"

// codecOf returns the codec for a request's content-type. As in grpc-go, one
// that is not registered is taken for protobuf.
func codecOf(contentType string) codec {
	name := subtype(contentType)
	if name == "" {
		name = "proto"
	}
	c := lookup(name)
	if c == nil {
		c = lookup("proto")
	}
	t := reflect.TypeOf(c)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return codec{c, t.PkgPath() == protoPath}
}

// subtype returns what stands behind "application/grpc+", in lower case.
func subtype(contentType string) string {
	_, s, _ := strings.Cut(contentType, "+")
	s, _, _ = strings.Cut(s, ";")
	return strings.ToLower(s)
}

// lookup finds a codec of either generation.
func lookup(name string) encoding.CodecV2 {
	if c := encoding.GetCodecV2(name); c != nil {
		return c
	}
	if c := encoding.GetCodec(name); c != nil {
		return oldCodec{c}
	}
	return nil
}

// oldCodec is a codec of the first generation.
type oldCodec struct{ encoding.Codec }

func (c oldCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, err := c.Codec.Marshal(v)
	if err != nil {
		return nil, err
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

func (c oldCodec) Unmarshal(data mem.BufferSlice, v any) error {
	return c.Codec.Unmarshal(data.Materialize(), v)
}

// encode returns m in a buffer that can be sent.
func (c codec) encode(m any) (*stream.Buffer, error) {
	if m, ok := m.(*stream.Message); ok { // of Encode
		return copied(m.Bytes()), nil
	}
	if pm, ok := m.(proto.Message); ok && c.stock {
		return encodeProto(pm)
	}
	if m == nil { // as grpc-go: an empty message
		return stream.NewBuffer(0), nil
	}
	data, err := c.Marshal(m)
	if err != nil {
		return nil, marshalError(err)
	}
	defer data.Free()
	if n := data.Len(); n > math.MaxInt32 {
		return nil, tooLarge(n)
	}
	b := stream.NewBuffer(data.Len())
	data.CopyTo(b.Bytes())
	return b, nil
}

// encodeProto encodes into the buffer that is sent.
func encodeProto(m proto.Message) (*stream.Buffer, error) {
	n := proto.Size(m)
	if n > math.MaxInt32 {
		return nil, tooLarge(n)
	}
	b := stream.NewBuffer(n)
	p, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b.Bytes()[:0], m)
	switch {
	case err != nil:
		b.Release()
		return nil, marshalError(err)
	case len(p) != n: // its size was no more than an estimate
		defer b.Release()
		return copied(p), nil
	}
	return b, nil
}

func copied(p []byte) *stream.Buffer {
	b := stream.NewBuffer(len(p))
	copy(b.Bytes(), p)
	return b
}

func marshalError(err error) error {
	return status.Errorf(codes.Internal, "grpc: error while marshaling: %v", err)
}

func tooLarge(n int) error {
	return status.Errorf(codes.ResourceExhausted, "grpc: message too large (%d bytes)", n)
}

// bytes encodes m into storage of its own.
func (c codec) bytes(m any) ([]byte, error) {
	b, err := c.encode(m)
	if err != nil {
		return nil, err
	}
	defer b.Release()
	return append([]byte(nil), b.Bytes()...), nil
}

// decode reads m from p, which is the stream's: a codec that may keep what it
// was given gets a copy.
func (c codec) decode(p []byte, m any) error {
	if err := c.unmarshal(p, m); err != nil {
		return status.Errorf(codes.Internal, "grpc: failed to unmarshal the received message: %v", err)
	}
	return nil
}

func (c codec) unmarshal(p []byte, m any) error {
	if pm, ok := m.(proto.Message); ok && c.stock {
		return proto.Unmarshal(p, pm) // as it does, without a mem.BufferSlice around p
	}
	if c.stock {
		return c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(p)}, m)
	}
	data := mem.BufferSlice{mem.Copy(p, mem.DefaultBufferPool())}
	defer data.Free()
	return c.Unmarshal(data, m)
}

// Encode encodes a protobuf message once, for any number of streams: it can be
// published to a stream.Topic, sent with stream.Stream's SendMessage, and given
// to a grpc.ServerStream's SendMsg. The caller has one reference, to be given
// back with Release.
func Encode(m proto.Message) (*stream.Message, error) {
	p, err := proto.Marshal(m)
	if err != nil {
		return nil, marshalError(err)
	}
	return stream.NewMessage(p), nil
}
