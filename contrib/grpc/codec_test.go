package grpc_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/stream"
)

// hex is a codec that a program registers, of either generation.
type hex struct{}

func (hex) Marshal(v any) ([]byte, error)   { return fmt.Appendf(nil, "%x", v), nil }
func (hex) Unmarshal(p []byte, v any) error { return errors.New("unused") }
func (hex) Name() string                    { return "hexold" }

// keeper is a codec that keeps what it decodes.
type keeper struct{ raw }

func (keeper) Unmarshal(data mem.BufferSlice, v any) error {
	data.Ref()
	*v.(*mem.BufferSlice) = data
	return nil
}

func (keeper) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(*[]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
	}
	data := v.(mem.BufferSlice)
	data.Ref()
	return data, nil
}

func init() {
	encoding.RegisterCodec(hex{})
	encoding.RegisterCodecV2(keeper{"keeper"})
}

// A codec may keep the bytes that it was given, as long as it holds a reference:
// later messages do not write over them. Methods without a description are
// served by Unknown.
func TestCodecKeeps(t *testing.T) {
	const n = 50
	unknown := func(srv any, ss stock.ServerStream) error {
		if srv != nil {
			return errors.New("an unknown service has an implementation")
		}
		var kept []mem.BufferSlice
		for {
			var m mem.BufferSlice
			if err := ss.RecvMsg(&m); err == io.EOF {
				break
			} else if err != nil {
				return err
			}
			kept = append(kept, m)
		}
		for _, m := range kept {
			if err := ss.SendMsg(m); err != nil {
				return err
			}
			m.Free()
		}
		return nil
	}
	_, _, addr := serve(t, grpc.Config{Unknown: unknown}, func(stock.ServiceRegistrar) {})
	cs, err := dial(t, addr).NewStream(within(t), &stock.StreamDesc{ClientStreams: true, ServerStreams: true},
		"/no.Service/Proxied", stock.ForceCodecV2(raw("keeper")))
	ok(t, err)
	for i := range n {
		m := []byte(strings.Repeat(string(rune('a'+i%26)), 100+i))
		ok(t, cs.SendMsg(&m))
	}
	ok(t, cs.CloseSend())
	for i := range n {
		var m []byte
		ok(t, cs.RecvMsg(&m))
		want(t, string(m), strings.Repeat(string(rune('a'+i%26)), 100+i))
	}
	var m []byte
	want(t, cs.RecvMsg(&m), io.EOF)
}

// A codec of the first generation serves too.
func TestOldCodec(t *testing.T) {
	_, _, addr := serve(t, grpc.Config{Unknown: func(_ any, ss stock.ServerStream) error {
		return ss.SendMsg("ab")
	}}, func(stock.ServiceRegistrar) {})
	in, out := []byte{}, []byte{}
	ok(t, dial(t, addr).Invoke(within(t), "/no.Service/M", &in, &out, stock.ForceCodecV2(raw("hexold"))))
	want(t, string(out), "6162")
}

// A compressor that a program has registered is spoken.
func TestCompressor(t *testing.T) {
	if grpc.Compressor("nobody's") != nil {
		t.Fatal("a compressor that nobody has registered")
	}
	encoding.RegisterCompressor(upsideDown{})
	cfg := grpc.Config{Config: stream.Config{Compressors: []stream.Compressor{grpc.Compressor("nobody's"), grpc.Compressor("not")}, MaxRecv: 3000}}
	_, _, addr := serve(t, cfg, bidi(echo).register)
	var d diary
	d.duplex(within(t), dial(t, addr), []int{0, 700, 2000}, stock.UseCompressor("not"))
	for _, has := range []string{`got "0"`, `got "700"`, `got "2000"`, "OK"} {
		if !strings.Contains(d.String(), has) {
			t.Fatalf("no %s in\n%s", has, d.String())
		}
	}
	var large diary
	large.duplex(within(t), dial(t, addr), []int{4000}, stock.UseCompressor("not"))
	if !strings.Contains(large.String(), "ResourceExhausted") {
		t.Fatalf("above MaxRecv:\n%s", large.String())
	}
}

// upsideDown inverts all bits: the other end must do so, too.
type upsideDown struct{}

func (upsideDown) Name() string { return "not" }

func (upsideDown) Compress(w io.Writer) (io.WriteCloser, error) { return inverter{w: w}, nil }

func (upsideDown) Decompress(r io.Reader) (io.Reader, error) { return inverter{r: r}, nil }

type inverter struct {
	w io.Writer
	r io.Reader
}

func (v inverter) Write(p []byte) (int, error) { return v.w.Write(invert(slices.Clone(p))) }

func (v inverter) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	invert(p[:n])
	return n, err
}

func (inverter) Close() error { return nil }

func invert(p []byte) []byte {
	for i := range p {
		p[i] ^= 0xff
	}
	return p
}
