package grpc_test

import (
	"context"
	"testing"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/weir-go/weir/contrib/grpc"
)

// cases are those of the gRPC project's interop client that a plaintext server
// without Google's credentials can run. They end the process when they fail.
var cases = []struct {
	name string
	run  func(ctx context.Context, tc testgrpc.TestServiceClient, cc *stock.ClientConn)
}{
	{"empty_unary", plain(interop.DoEmptyUnaryCall)},
	{"large_unary", plain(interop.DoLargeUnaryCall)},
	{"client_streaming", plain(interop.DoClientStreaming)},
	{"server_streaming", plain(interop.DoServerStreaming)},
	{"ping_pong", plain(interop.DoPingPong)},
	{"empty_stream", plain(interop.DoEmptyStream)},
	{"timeout_on_sleeping_server", plain(interop.DoTimeoutOnSleepingServer)},
	{"cancel_after_begin", plain(interop.DoCancelAfterBegin)},
	{"cancel_after_first_response", plain(interop.DoCancelAfterFirstResponse)},
	{"status_code_and_message", plain(interop.DoStatusCodeAndMessage)},
	{"special_status_message", plain(interop.DoSpecialStatusMessage)},
	{"custom_metadata", plain(interop.DoCustomMetadata)},
	{"unimplemented_method", func(ctx context.Context, _ testgrpc.TestServiceClient, cc *stock.ClientConn) {
		interop.DoUnimplementedMethod(ctx, cc)
	}},
	{"unimplemented_service", func(ctx context.Context, _ testgrpc.TestServiceClient, cc *stock.ClientConn) {
		interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(cc))
	}},
}

func plain(f func(context.Context, testgrpc.TestServiceClient, ...stock.CallOption)) func(context.Context, testgrpc.TestServiceClient, *stock.ClientConn) {
	return func(ctx context.Context, tc testgrpc.TestServiceClient, _ *stock.ClientConn) { f(ctx, tc) }
}

// The gRPC project's own client and server code, the server on this package.
func TestInterop(t *testing.T) {
	for _, face := range []struct {
		name string
		cfg  grpc.Config
	}{
		{"goroutines", grpc.Config{}},
		{"inline", grpc.Config{Inline: func(string) bool { return true }}},
	} {
		t.Run(face.name, func(t *testing.T) {
			_, _, addr := serve(t, face.cfg, func(r stock.ServiceRegistrar) {
				testgrpc.RegisterTestServiceServer(r, interop.NewTestServer())
			})
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					cc := dial(t, addr)
					c.run(within(t), testgrpc.NewTestServiceClient(cc), cc)
				})
			}
		})
	}
}
