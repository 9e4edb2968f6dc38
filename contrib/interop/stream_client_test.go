package interop

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fullstorydev/grpchan/grpchantesting"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	stock "google.golang.org/grpc"
	gcodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/grpc"
)

// weirClient makes a ClientConn, and looks at its end that nothing of it is left.
func weirClient(t testing.TB, addr string, cfg grpc.ClientConfig) *grpc.ClientConn {
	t.Helper()
	rt, err := conn.Start(conn.Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Targets = []conn.Addr{mustAddr(t, addr)}
	cc := grpc.NewClient(rt, cfg)
	t.Cleanup(func() {
		cc.Close()
		rt.Close()
		if s := cc.Core().Stats(); s.Calls != 0 || s.Sessions != 0 || s.Streams != 0 || s.Held != 0 {
			t.Errorf("at the end: %+v", s)
		}
	})
	return cc
}

// overHTTP serves h by net/http's HTTP/2, without TLS.
func overHTTP(t testing.TB, h http.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	srv.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	return ln.Addr().String()
}

// register has the services of both suites.
func register(r stock.ServiceRegistrar) {
	grpchantesting.RegisterTestServiceServer(r, &grpchantesting.TestServer{})
	testgrpc.RegisterTestServiceServer(r, interop.NewTestServer())
}

// servers are those that both suites run against: grpc-go's, the same on
// net/http's HTTP/2, which is another implementation of that, and our own.
var servers = map[string]func(t *testing.T) string{
	"grpc-go": func(t *testing.T) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := stock.NewServer()
		register(srv)
		served := make(chan error, 1)
		go func() { served <- srv.Serve(ln) }()
		t.Cleanup(func() {
			srv.Stop()
			<-served
		})
		return ln.Addr().String()
	},
	"net http": func(t *testing.T) string {
		srv := stock.NewServer()
		register(srv)
		return overHTTP(t, srv)
	},
	"weir": func(t *testing.T) string {
		rt, err := conn.Start(conn.Config{Loops: 2})
		if err != nil {
			t.Fatal(err)
		}
		srv := grpc.NewServer(grpc.Config{})
		register(srv)
		ln, err := rt.Listen(mustAddr(t, "127.0.0.1:0"), srv.Serve)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			srv.Close()
			rt.Close()
		})
		return ln.Addr().String()
	},
}

// The cases that grpchan has for every grpc.ClientConnInterface.
func TestClientCases(t *testing.T) {
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			grpchantesting.RunChannelTestCases(t, weirClient(t, start(t), grpc.ClientConfig{}), true)
		})
	}
}

// The gRPC project's cases, on net/http's HTTP/2.
func TestClientInteropOverHTTP(t *testing.T) {
	tc := testgrpc.NewTestServiceClient(weirClient(t, servers["net http"](t), grpc.ClientConfig{}))
	for name, f := range map[string]func(context.Context, testgrpc.TestServiceClient, ...stock.CallOption){
		"empty_unary": interop.DoEmptyUnaryCall, "large_unary": interop.DoLargeUnaryCall,
		"client_streaming": interop.DoClientStreaming, "server_streaming": interop.DoServerStreaming,
		"ping_pong": interop.DoPingPong, "empty_stream": interop.DoEmptyStream,
		"timeout": interop.DoTimeoutOnSleepingServer, "cancel_after_begin": interop.DoCancelAfterBegin,
		"cancel_after_first_response": interop.DoCancelAfterFirstResponse,
		"status":                      interop.DoStatusCodeAndMessage, "special_status": interop.DoSpecialStatusMessage,
		"custom_metadata": interop.DoCustomMetadata,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			f(ctx, tc)
		})
	}
}

// A web server is no gRPC server; its answers have statuses all the same.
func TestClientOfAWebServer(t *testing.T) {
	addr := overHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Want") {
		case "404":
			http.NotFound(w, r)
		case "503":
			http.Error(w, "later", http.StatusServiceUnavailable)
		default:
			io.WriteString(w, "<html>")
		}
	}))
	cc := weirClient(t, addr, grpc.ClientConfig{})
	for want, code := range map[string]gcodes.Code{"404": gcodes.Unimplemented, "503": gcodes.Unavailable, "200": gcodes.Unknown} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "want", want)
		err := cc.Invoke(ctx, "/a.B/C", &testpb.Empty{}, &testpb.Empty{})
		if s := status.Convert(err); s.Code() != code || !strings.Contains(s.Message(), "HTTP status "+want) {
			t.Errorf("HTTP %s is %v", want, err)
		}
	}
}

// One client, many calls at once, on each of the servers.
func TestClientLoad(t *testing.T) {
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			cc := weirClient(t, start(t), grpc.ClientConfig{})
			tc := testgrpc.NewTestServiceClient(cc)
			var all sync.WaitGroup
			for k := range 50 {
				all.Go(func() {
					for i := range 20 {
						n := (k*37 + i*101) % 3000
						r, err := tc.UnaryCall(t.Context(), &testpb.SimpleRequest{ResponseSize: int32(n), Payload: &testpb.Payload{Body: make([]byte, n)}})
						if err != nil || len(r.GetPayload().GetBody()) != n {
							t.Errorf("call %d %d: %v", k, i, err)
							return
						}
					}
				})
			}
			all.Wait()
			if s := cc.Core().Stats(); s.Connected > 2 {
				t.Errorf("%d connections for 50 calls at once", s.Connected)
			}
		})
	}
}

// OpenTelemetry's handler sees the client's calls.
func TestClientTelemetry(t *testing.T) {
	rec := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec))
	h := otelgrpc.NewClientHandler(otelgrpc.WithTracerProvider(tp))
	cc := weirClient(t, servers["grpc-go"](t), grpc.ClientConfig{Stats: []stats.Handler{h}})
	tc := testgrpc.NewTestServiceClient(cc)
	if _, err := tc.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
		t.Fatal(err)
	}
	tc.UnaryCall(t.Context(), &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: 13, Message: "no"}})
	spans := rec.Ended()
	if len(spans) != 2 || spans[0].Name() != "grpc.testing.TestService/EmptyCall" || spans[0].Status().Code == codes.Error || spans[1].Status().Code != codes.Error {
		t.Errorf("%d spans: %v", len(spans), spans)
	}
}
