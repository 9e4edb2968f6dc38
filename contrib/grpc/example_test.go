package grpc_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/stream"
)

// clock implements a service that protoc-gen-go-grpc has generated.
type clock struct {
	testgrpc.UnimplementedTestServiceServer
	ticks *stream.Topic
}

func (clock) UnaryCall(_ context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Payload: req.Payload, Username: "echo"}, nil
}

// StreamingOutputCall gives its client every tick. It returns at once; the stream
// lives on without a goroutine.
func (c *clock) StreamingOutputCall(_ *testpb.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error {
	return grpc.Subscribe(ss, c.ticks, stream.SubOptions{From: 1})
}

// Generated code on the reactor, and any gRPC client: here grpc-go's.
func ExampleServer() {
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()

	c := &clock{ticks: stream.NewTopic(rt, stream.TopicConfig{Name: "ticks"})}
	srv := grpc.NewServer(grpc.Config{})
	testgrpc.RegisterTestServiceServer(srv, c)
	ln, err := rt.Listen(conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")), srv.Serve)
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()

	cc, err := stock.NewClient(ln.Addr().String(), stock.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer cc.Close()
	client := testgrpc.NewTestServiceClient(cc)

	resp, err := client.UnaryCall(context.Background(), &testpb.SimpleRequest{})
	fmt.Println(resp.GetUsername(), err)

	watch, err := client.StreamingOutputCall(context.Background(), &testpb.StreamingOutputCallRequest{})
	if err != nil {
		log.Fatal(err)
	}
	for _, tick := range []string{"tick", "tock"} {
		m := &testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: []byte(tick)}}
		if _, err := grpc.Publish(c.ticks, m, ""); err != nil { // encoded once, for all who watch
			log.Fatal(err)
		}
	}
	for range 2 {
		m, err := watch.Recv()
		fmt.Printf("%s %v\n", m.GetPayload().GetBody(), err)
	}
	// Output:
	// echo <nil>
	// tick <nil>
	// tock <nil>
}
