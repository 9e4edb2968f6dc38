package grpc_test

import (
	"context"
	"strings"
	"testing"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/stream"
)

// What grpc-go sends and takes costs no call here: blanks around a value, such as
// those of a message that had nothing to add, and metadata that a server passes on
// as it has received it.
func TestMetadataOfOthers(t *testing.T) {
	svc := &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		if err := stock.SetTrailer(ctx, metadata.Pairs("got", strings.Join(md["a"], "|"), "b", " c ")); err != nil {
			return nil, err
		}
		return nil, status.Error(codes.NotFound, "not found: ")
	}}
	_, _, own := serve(t, grpc.Config{}, svc.register)
	other := serveStock(t, svc.register)
	passedOn := []string{":authority", "elsewhere", "host", "elsewhere", "content-type", "application/json",
		"user-agent", "somebody", "grpc-accept-encoding", "gzip", "content-length", "7", "connection", "close"}
	for _, c := range []struct {
		name string
		cc   stock.ClientConnInterface
		more []string
	}{
		{"grpc-go's client", dial(t, own), nil},
		{"our client", newClient(t, own, grpc.ClientConfig{}), passedOn},
		{"our client of grpc-go's server", newClient(t, other, grpc.ClientConfig{}), passedOn},
	} {
		ctx := metadata.AppendToOutgoingContext(within(t), append([]string{"a", "b ", "a", " ", "a", " c"}, c.more...)...)
		var tr metadata.MD
		_, err := testgrpc.NewTestServiceClient(c.cc).UnaryCall(ctx, &testpb.SimpleRequest{}, stock.Trailer(&tr))
		if s := status.Convert(err); s.Code() != codes.NotFound || strings.TrimRight(s.Message(), " ") != "not found:" {
			t.Errorf("%s: %v", c.name, err)
		}
		got, b := strings.Join(tr.Get("got"), ","), strings.Join(tr.Get("b"), ",")
		if got != "b||c" || strings.Trim(b, " ") != "c" {
			t.Errorf("%s: the server has seen %q, its trailer is %q", c.name, got, b)
		}
	}
}

// Metadata up to the limit goes through, also where it takes many frames; what is
// above it costs the call and not the connection.
func TestMetadataLimits(t *testing.T) {
	svc := &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		stock.SetHeader(ctx, metadata.Pairs("h", md["k"][0]))
		stock.SetTrailer(ctx, metadata.Pairs("t", md["k"][0]))
		return &testpb.SimpleResponse{}, nil
	}}
	const large = 1 << 20
	for _, c := range []struct {
		limit, size int
		code        codes.Code
	}{
		{0, 15 << 10, codes.OK},
		{0, 17 << 10, codes.Internal}, // clients know the limit
		{large, 900 << 10, codes.OK},
		{large, large, codes.Internal},
	} {
		_, _, own := serve(t, grpc.Config{Config: stream.Config{MaxHeaderList: c.limit}}, svc.register)
		value := strings.Repeat("v", c.size)
		ours := newClient(t, own, grpc.ClientConfig{ClientConfig: stream.ClientConfig{Config: stream.Config{MaxHeaderList: large}}})
		for name, cc := range map[string]stock.ClientConnInterface{"grpc-go's client": dial(t, own), "our client": ours} {
			for _, want := range []struct {
				value string
				code  codes.Code
			}{{"short", codes.OK}, {value, c.code}, {"short", codes.OK}} {
				var h, tr metadata.MD
				_, err := testgrpc.NewTestServiceClient(cc).UnaryCall(metadata.AppendToOutgoingContext(within(t), "k", want.value),
					&testpb.SimpleRequest{}, stock.Header(&h), stock.Trailer(&tr))
				if status.Code(err) != want.code {
					t.Errorf("%s, %d of %d bytes: %v", name, len(want.value), c.limit, err)
				} else if err == nil && (h["h"][0] != want.value || tr["t"][0] != want.value) {
					t.Errorf("%s, %d of %d bytes: not what was sent has come back", name, len(want.value), c.limit)
				}
			}
		}
		if n := ours.Core().Stats().Connected; n != 1 {
			t.Errorf("%d connections for a call after the other", n)
		}
	}
}

// A trailer that cannot be sent takes no other with it: nobody tells a stream's
// handler that one was lost.
func TestTrailersThatCannotBeSent(t *testing.T) {
	svc := &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		err := stock.SetTrailer(ctx, metadata.Pairs("request-id", "7", "why", "two\nlines", "a b", "c", "raw-bin", "\n"))
		want(t, status.Code(err), codes.Internal)
		return &testpb.SimpleResponse{}, nil
	}}
	_, _, addr := serve(t, grpc.Config{}, svc.register)
	var tr metadata.MD
	_, err := testgrpc.NewTestServiceClient(dial(t, addr)).UnaryCall(within(t), &testpb.SimpleRequest{}, stock.Trailer(&tr))
	ok(t, err)
	if len(tr) != 2 || tr["request-id"][0] != "7" || tr["raw-bin"][0] != "\n" {
		t.Errorf("%d trailers: %q", len(tr), map[string][]string(tr))
	}
}
