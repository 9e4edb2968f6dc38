package grpc_test

import (
	"context"
	"net"
	"slices"
	"testing"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// patience bounds waits that end at once unless something is broken.
const patience = await.Patience

// serve starts a Server, and looks at its end that nothing of it is left.
func serve(t testing.TB, cfg grpc.Config, register func(stock.ServiceRegistrar)) (*grpc.Server, *conn.Runtime, string) {
	t.Helper()
	return listen(t, cfg, register, func(srv *grpc.Server) conn.Serve { return srv.Serve })
}

// listen does so with the Serve that it is told.
func listen(t testing.TB, cfg grpc.Config, register func(stock.ServiceRegistrar), how func(*grpc.Server) conn.Serve) (*grpc.Server, *conn.Runtime, string) {
	t.Helper()
	rt, err := conn.Start(conn.Config{Loops: 2})
	ok(t, err)
	srv := grpc.NewServer(cfg)
	register(srv)
	addr, err := conn.ParseAddr("127.0.0.1:0")
	ok(t, err)
	ln, err := rt.Listen(addr, how(srv))
	ok(t, err)
	t.Cleanup(func() {
		srv.Close()
		rt.Close()
		s := srv.Core().Stats()
		if s.Sessions != 0 || s.Streams != 0 {
			t.Errorf("at the end: %d sessions, %d streams", s.Sessions, s.Streams)
		}
		// A method may be about to find that its stream has ended.
		await.Until(t, "nothing is held", func() bool { return srv.Core().Stats().Held == 0 })
		if b := rt.Stats().BudgetUsed; b != 0 {
			t.Errorf("at the end: %d bytes of the runtime's budget", b)
		}
	})
	return srv, rt, ln.Addr().String()
}

// serveStock starts grpc-go's server.
func serveStock(t testing.TB, register func(stock.ServiceRegistrar), o ...stock.ServerOption) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	srv := stock.NewServer(o...)
	register(srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Stop()
		ok(t, <-served)
	})
	return ln.Addr().String()
}

// dial connects grpc-go's client.
func dial(t testing.TB, addr string, o ...stock.DialOption) *stock.ClientConn {
	t.Helper()
	o = append(o, stock.WithTransportCredentials(insecure.NewCredentials()))
	cc, err := stock.NewClient("passthrough:///"+addr, o...)
	ok(t, err)
	t.Cleanup(func() { cc.Close() })
	return cc
}

// service is the gRPC project's test service, each method a function.
type service struct {
	testgrpc.UnimplementedTestServiceServer
	unary  func(ctx context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error)
	output func(req *testpb.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error
	input  func(ss testgrpc.TestService_StreamingInputCallServer) error
	duplex func(ss testgrpc.TestService_FullDuplexCallServer) error
}

func (s *service) register(r stock.ServiceRegistrar) {
	testgrpc.RegisterTestServiceServer(r, s)
	r.RegisterService(&twinService, s)
}

// twinService has UnaryCall once more, as a method that protobuf does not know:
// the twin of streams whose messages are not quite UnaryCall's.
var twinService = stock.ServiceDesc{
	ServiceName: "weir.test.Twins",
	HandlerType: (*testgrpc.TestServiceServer)(nil),
	Methods:     []stock.MethodDesc{{MethodName: "Call", Handler: unaryHandler()}},
}

const twinName = "/weir.test.Twins/Call"

func unaryHandler() stock.MethodHandler {
	d := testgrpc.TestService_ServiceDesc.Methods
	return d[slices.IndexFunc(d, func(m stock.MethodDesc) bool { return m.MethodName == "UnaryCall" })].Handler
}

func (s *service) UnaryCall(ctx context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if s.unary == nil {
		return s.UnimplementedTestServiceServer.UnaryCall(ctx, req)
	}
	return s.unary(ctx, req)
}

func (s *service) StreamingOutputCall(req *testpb.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error {
	return s.output(req, ss)
}

func (s *service) StreamingInputCall(ss testgrpc.TestService_StreamingInputCallServer) error {
	return s.input(ss)
}

func (s *service) FullDuplexCall(ss testgrpc.TestService_FullDuplexCallServer) error {
	return s.duplex(ss)
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want[T comparable](t testing.TB, got, expected T) {
	t.Helper()
	if got != expected {
		t.Fatalf("got %v, want %v", got, expected)
	}
}

// until waits for something that nothing signals.
var until = await.Until

// text is a message with text in it.
func text(s string) *testpb.SimpleResponse {
	return &testpb.SimpleResponse{Payload: &testpb.Payload{Body: []byte(s)}}
}

func chunk(s string) *testpb.StreamingOutputCallResponse {
	return &testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: []byte(s)}}
}
