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

// prices has a stream, and a call that takes the same request and answers one
// message of it.
type prices struct {
	testgrpc.UnimplementedBenchmarkServiceServer
}

func (prices) UnaryCall(_ context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return text("the price of " + string(req.Payload.Body)), nil
}

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
			testgrpc.BenchmarkService_StreamingFromServer_FullMethodName: {Twin: testgrpc.BenchmarkService_UnaryCall_FullMethodName},
		},
	})
	defer srv.Close()
	testgrpc.RegisterBenchmarkServiceServer(srv, prices{})
	if err := srv.Check(); err != nil { // of Methods, once all are registered
		fmt.Println(err)
		return
	}
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
	tea := &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte("tea")}}
	watch, err := testgrpc.NewBenchmarkServiceClient(cc).StreamingFromServer(ctx, tea)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		m, err := watch.Recv()
		fmt.Println(string(m.GetPayload().GetBody()), err)
	}
	// Output:
	// short of memory
	// the price of tea <nil>
	// the price of tea <nil>
}
