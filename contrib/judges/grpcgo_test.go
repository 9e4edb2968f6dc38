package judges

import (
	"context"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	v1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	v1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/weir-go/weir/internal/echo/echopb"
	"github.com/weir-go/weir/internal/echo/rpc"
)

// dial starts the service of cmd/echo -grpc in this process, so that the race
// detector sees it, and connects grpc-go's client.
func dial(t *testing.T, cfg rpc.Config) (*rpc.Server, *grpc.ClientConn, context.Context) {
	t.Helper()
	s, err := rpc.Serve(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	cc, err := grpc.NewClient("passthrough:///"+s.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return s, cc, ctx
}

// open begins a call of any type; requests are sent and the client's half is
// closed.
func open(t *testing.T, ctx context.Context, cc *grpc.ClientConn, method string, requests ...proto.Message) grpc.ClientStream {
	t.Helper()
	cs, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	for _, m := range requests {
		if err == nil {
			err = cs.SendMsg(m)
		}
	}
	if err == nil {
		err = cs.CloseSend()
	}
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

// TestGrpcGo: grpc-go's client calls each method.
func TestGrpcGo(t *testing.T) {
	_, cc, ctx := dial(t, rpc.Config{})
	a, b := &echopb.Message{Text: "a"}, &echopb.Message{Body: []byte("b")}
	for _, call := range []struct {
		method   string
		requests []proto.Message
		answers  []proto.Message
		code     codes.Code
	}{
		{"Unary", []proto.Message{a}, []proto.Message{a}, codes.OK},
		{"Unary", []proto.Message{a, b}, nil, codes.Internal},
		{"Push", []proto.Message{&echopb.PushRequest{Message: b, Count: 2}}, []proto.Message{b, b}, codes.OK},
		{"Push", []proto.Message{&echopb.PushRequest{Count: 1 << 30}}, nil, codes.InvalidArgument},
		{"Collect", []proto.Message{a, b, a}, []proto.Message{&echopb.Summary{Messages: 3, Bytes: 3}}, codes.OK},
		{"Bidi", []proto.Message{a, b, a}, []proto.Message{a, b, a}, codes.OK},
		{"Nothing", nil, nil, codes.Unimplemented},
	} {
		cs := open(t, ctx, cc, "/weir.echo.v1.Echo/"+call.method, call.requests...)
		for i, want := range call.answers {
			got := want.ProtoReflect().New().Interface()
			if err := cs.RecvMsg(got); err != nil || !proto.Equal(got, want) {
				t.Fatalf("%s: answer %d is %v, %v, want %v", call.method, i, got, err, want)
			}
		}
		err := cs.RecvMsg(&echopb.Message{})
		if err == io.EOF {
			err = nil
		}
		if status.Code(err) != call.code {
			t.Errorf("%s: %v, want %v", call.method, err, call.code)
		}
	}
}

// TestGrpcGoHearsTheEnd: health and clock tell grpc-go's client that the server
// ends, and Shutdown does not wait for them.
func TestGrpcGoHearsTheEnd(t *testing.T) {
	s, cc, ctx := dial(t, rpc.Config{Period: 5 * time.Millisecond})
	watch, err := health.NewHealthClient(cc).Watch(ctx, &health.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	clock := open(t, ctx, cc, "/weir.echo.v1.Clock/Subscribe", &echopb.SubscribeRequest{})
	if m, err := watch.Recv(); err != nil || m.Status != health.HealthCheckResponse_SERVING {
		t.Fatal(m, err)
	}
	var tick echopb.Tick
	if err := clock.RecvMsg(&tick); err != nil || tick.Number == 0 {
		t.Fatal(&tick, err)
	}
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if m, err := watch.Recv(); err != nil || m.Status != health.HealthCheckResponse_NOT_SERVING {
		t.Fatal(m, err)
	}
	if _, err = watch.Recv(); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	for err = nil; err == nil; err = clock.RecvMsg(&tick) {
	}
	if status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

// TestGrpcGoReflects: both versions answer grpc-go's generated clients, whose
// messages are the originals of ours.
func TestGrpcGoReflects(t *testing.T) {
	_, cc, ctx := dial(t, rpc.Config{})
	now, err := v1.NewServerReflectionClient(cc).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(q *v1.ServerReflectionRequest) *v1.ServerReflectionResponse {
		t.Helper()
		if err := now.Send(q); err != nil {
			t.Fatal(err)
		}
		a, err := now.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(a.OriginalRequest, q) || a.ValidHost != q.Host || len(a.ProtoReflect().GetUnknown()) > 0 {
			t.Errorf("%v is answered by %v", q, a)
		}
		return a
	}
	files := ask(&v1.ServerReflectionRequest{Host: "h", MessageRequest: &v1.ServerReflectionRequest_FileContainingSymbol{
		FileContainingSymbol: "weir.echo.v1.Clock"}}).GetFileDescriptorResponse().GetFileDescriptorProto()
	if len(files) != 2 {
		t.Fatalf("%d files", len(files))
	}
	var f descriptorpb.FileDescriptorProto
	if err := proto.Unmarshal(files[0], &f); err != nil || f.GetPackage() != "weir.echo.v1" {
		t.Error(f.GetPackage(), err)
	}
	if n := len(ask(&v1.ServerReflectionRequest{MessageRequest: &v1.ServerReflectionRequest_ListServices{}}).
		GetListServicesResponse().GetService()); n != 3 {
		t.Errorf("%d services", n)
	}
	fault := ask(&v1.ServerReflectionRequest{MessageRequest: &v1.ServerReflectionRequest_FileContainingExtension{
		FileContainingExtension: &v1.ExtensionRequest{ContainingType: "weir.echo.v1.Tick", ExtensionNumber: 7}}}).GetErrorResponse()
	if codes.Code(fault.GetErrorCode()) != codes.NotFound || fault.GetErrorMessage() == "" {
		t.Error(fault)
	}
	none := ask(&v1.ServerReflectionRequest{MessageRequest: &v1.ServerReflectionRequest_AllExtensionNumbersOfType{
		AllExtensionNumbersOfType: "weir.echo.v1.Tick"}}).GetAllExtensionNumbersResponse()
	if none.GetBaseTypeName() != "weir.echo.v1.Tick" || len(none.GetExtensionNumber()) != 0 {
		t.Error(none)
	}
	if err := now.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := now.Recv(); err != io.EOF {
		t.Error(err)
	}

	then, err := v1alpha.NewServerReflectionClient(cc).ServerReflectionInfo(ctx)
	if err == nil {
		err = then.Send(&v1alpha.ServerReflectionRequest{MessageRequest: &v1alpha.ServerReflectionRequest_ListServices{}})
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := then.Recv()
	if err != nil || len(a.GetListServicesResponse().GetService()) != 3 {
		t.Error(a, err)
	}
}
