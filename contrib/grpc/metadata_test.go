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
