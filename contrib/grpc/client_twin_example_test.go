package grpc_test

import (
	"context"
	"fmt"
	"time"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/stream"
)

// A server that has no room for streams names a unary method that stands in; the
// client's Recv goes on with that.
func ExampleTwins() {
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close()
	srv := grpc.NewServer(grpc.Config{
		// In a program it is its *bounds.Bounds.
		Config: stream.Config{Admit: newShortOf(bounds.Verdict{State: bounds.Shed, Resource: bounds.Memory, Back: time.Minute})},
		Methods: map[string]grpc.MethodOptions{
			"/grpc.testing.TestService/StreamingOutputCall": {Twin: "/grpc.testing.TestService/UnaryCall"},
		},
	})
	defer srv.Close()
	testgrpc.RegisterTestServiceServer(srv, &service{
		unary: func(_ context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			return text("the price of " + string(req.Payload.Body)), nil
		},
	})
	at, _ := conn.ParseAddr("127.0.0.1:0")
	ln, err := rt.Listen(at, srv.Serve)
	if err != nil {
		fmt.Println(err)
		return
	}

	cc := grpc.NewClient(rt, grpc.ClientConfig{
		ClientConfig: stream.ClientConfig{Targets: []conn.Addr{ln.Addr()}},
		Twins: &grpc.Twins{Every: time.Millisecond, Changed: func(c grpc.TwinChange) {
			fmt.Println("short of", c.Resource)
		}},
	})
	defer cc.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	prices, err := testgrpc.NewTestServiceClient(cc).StreamingOutputCall(ctx, asked("tea"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		m, err := prices.Recv()
		fmt.Println(string(m.GetPayload().GetBody()), err)
	}
	// Output:
	// short of memory
	// the price of tea <nil>
	// the price of tea <nil>
}
