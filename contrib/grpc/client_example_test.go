package grpc_test

import (
	"context"
	"fmt"

	stock "google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/stream"
)

// A generated client, unchanged.
func ExampleNewClient() {
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close()
	srv := grpc.NewServer(grpc.Config{})
	defer srv.Close()
	testgrpc.RegisterTestServiceServer(srv, &service{
		unary: func(_ context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			return text("hello " + string(req.Payload.Body)), nil
		},
	})
	at, _ := conn.ParseAddr("127.0.0.1:0")
	ln, err := rt.Listen(at, srv.Serve)
	if err != nil {
		fmt.Println(err)
		return
	}

	cc := grpc.NewClient(rt, grpc.ClientConfig{ClientConfig: stream.ClientConfig{Targets: []conn.Addr{ln.Addr()}}})
	defer cc.Close()
	client := testgrpc.NewTestServiceClient(cc)
	r, err := client.UnaryCall(context.Background(), &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte("world")}},
		stock.WaitForReady(true))
	fmt.Println(string(r.GetPayload().GetBody()), err)
	// Output: hello world <nil>
}
