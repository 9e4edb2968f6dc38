package grpc_test

import (
	"context"
	"testing"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/grpc"
)

// newClient makes a ClientConn to addr, and looks at its end that nothing of it
// is left.
func newClient(t testing.TB, addr string, cfg grpc.ClientConfig) *grpc.ClientConn {
	t.Helper()
	rt, err := conn.Start(conn.Config{Loops: 2})
	ok(t, err)
	at, err := conn.ParseAddr(addr)
	ok(t, err)
	cfg.Targets = []conn.Addr{at}
	cc := grpc.NewClient(rt, cfg)
	t.Cleanup(func() {
		cc.Close()
		rt.Close()
		if s := cc.Core().Stats(); s.Calls != 0 || s.Conns != 0 || s.Sessions != 0 || s.Streams != 0 || s.Held != 0 {
			t.Errorf("at the end: %+v", s)
		}
		if b := rt.Stats().BudgetUsed; b != 0 {
			t.Errorf("at the end: %d bytes of the runtime's budget", b)
		}
	})
	return cc
}

// The gRPC project's own cases for clients, against its own server and against
// this package's.
func TestClientInterop(t *testing.T) {
	servers := map[string]func(t *testing.T) string{
		"stock": func(t *testing.T) string {
			return serveStock(t, func(r stock.ServiceRegistrar) { testgrpc.RegisterTestServiceServer(r, interop.NewTestServer()) })
		},
		"own": func(t *testing.T) string {
			_, _, addr := serve(t, grpc.Config{}, func(r stock.ServiceRegistrar) { testgrpc.RegisterTestServiceServer(r, interop.NewTestServer()) })
			return addr
		},
	}
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			cc := newClient(t, start(t), grpc.ClientConfig{})
			for _, c := range clientCases {
				t.Run(c.name, func(t *testing.T) { c.run(within(t), testgrpc.NewTestServiceClient(cc)) })
			}
			t.Run("unimplemented_service", func(t *testing.T) {
				interop.DoUnimplementedService(within(t), testgrpc.NewUnimplementedServiceClient(cc))
			})
		})
	}
}

// clientCases end the process when they fail.
var clientCases = []struct {
	name string
	run  func(ctx context.Context, tc testgrpc.TestServiceClient)
}{
	{"empty_unary", of(interop.DoEmptyUnaryCall)},
	{"large_unary", of(interop.DoLargeUnaryCall)},
	{"client_streaming", of(interop.DoClientStreaming)},
	{"server_streaming", of(interop.DoServerStreaming)},
	{"ping_pong", of(interop.DoPingPong)},
	{"empty_stream", of(interop.DoEmptyStream)},
	{"timeout_on_sleeping_server", of(interop.DoTimeoutOnSleepingServer)},
	{"cancel_after_begin", of(interop.DoCancelAfterBegin)},
	{"cancel_after_first_response", of(interop.DoCancelAfterFirstResponse)},
	{"status_code_and_message", of(interop.DoStatusCodeAndMessage)},
	{"special_status_message", of(interop.DoSpecialStatusMessage)},
	{"custom_metadata", of(interop.DoCustomMetadata)},
}

func of(f func(context.Context, testgrpc.TestServiceClient, ...stock.CallOption)) func(context.Context, testgrpc.TestServiceClient) {
	return func(ctx context.Context, tc testgrpc.TestServiceClient) { f(ctx, tc) }
}
