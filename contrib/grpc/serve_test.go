package grpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
	reflectpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/contrib/grpc"
)

// A panic ends its call with Internal; the session, and other calls, go on.
func TestPanic(t *testing.T) {
	boom := true
	var l trail
	svc := &service{
		unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			if boom {
				panic("boom")
			}
			return text("fine"), nil
		},
		duplex: func(testgrpc.TestService_FullDuplexCallServer) error { panic("stream boom") },
	}
	for _, inline := range []bool{false, true} {
		boom = true
		told := make(chan string, 2)
		cfg := grpc.Config{Inline: func(string) bool { return inline }, Stats: []stats.Handler{teller{&l}}}
		cfg.PanicReport = func(method string, v any, _ []byte) { told <- fmt.Sprint(method, " ", v) }
		_, _, addr := serve(t, cfg, svc.register)
		cc := dial(t, addr)

		var d diary
		d.call(within(t), cc, 1)
		d.duplex(within(t), cc, nil)
		want(t, strings.Count(d.String(), "Internal"), 2)
		want(t, <-told, testgrpc.TestService_UnaryCall_FullMethodName+" boom")
		want(t, <-told, testgrpc.TestService_FullDuplexCall_FullMethodName+" stream boom")
		boom = false
		var after diary
		after.call(within(t), cc, 1)
		if !strings.Contains(after.String(), "fine") {
			t.Fatalf("after the panics:\n%s", after.String())
		}
	}
	if s := l.take(); strings.Count(s, "end rpc error: code = Internal") != 4 {
		t.Fatalf("stats were told\n%s", s)
	}
}

// grpc-go's own health service runs on the server.
func TestHealth(t *testing.T) {
	h := health.NewServer()
	_, _, addr := serve(t, grpc.Config{}, func(r stock.ServiceRegistrar) { healthpb.RegisterHealthServer(r, h) })
	hc := healthpb.NewHealthClient(dial(t, addr))
	ctx := within(t)
	resp, err := hc.Check(ctx, &healthpb.HealthCheckRequest{})
	ok(t, err)
	want(t, resp.Status, healthpb.HealthCheckResponse_SERVING)

	w, err := hc.Watch(ctx, &healthpb.HealthCheckRequest{Service: "chat"})
	ok(t, err)
	for _, expected := range []healthpb.HealthCheckResponse_ServingStatus{
		healthpb.HealthCheckResponse_SERVICE_UNKNOWN, healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING,
	} {
		if expected != healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
			h.SetServingStatus("chat", expected)
		}
		resp, err := w.Recv()
		ok(t, err)
		want(t, resp.Status, expected)
	}
}

// And so does its reflection service: it lists what is registered, and finds the
// files that describe it.
func TestReflection(t *testing.T) {
	_, _, addr := serve(t, grpc.Config{}, func(r stock.ServiceRegistrar) {
		new(service).register(r)
		healthpb.RegisterHealthServer(r, health.NewServer())
		reflection.Register(r.(reflection.GRPCServer))
	})
	rs, err := reflectpb.NewServerReflectionClient(dial(t, addr)).ServerReflectionInfo(within(t))
	ok(t, err)
	ask := func(req *reflectpb.ServerReflectionRequest) *reflectpb.ServerReflectionResponse {
		t.Helper()
		ok(t, rs.Send(req))
		resp, err := rs.Recv()
		ok(t, err)
		return resp
	}
	list := ask(&reflectpb.ServerReflectionRequest{MessageRequest: &reflectpb.ServerReflectionRequest_ListServices{}})
	var names []string
	for _, s := range list.GetListServicesResponse().GetService() {
		names = append(names, s.Name)
	}
	want(t, strings.Join(names, " "),
		"grpc.health.v1.Health grpc.reflection.v1.ServerReflection grpc.reflection.v1alpha.ServerReflection grpc.testing.TestService weir.test.Twins")
	file := ask(&reflectpb.ServerReflectionRequest{MessageRequest: &reflectpb.ServerReflectionRequest_FileContainingSymbol{
		FileContainingSymbol: "grpc.testing.TestService"}})
	if len(file.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Fatalf("no file: %v", file)
	}
	ok(t, rs.CloseSend())
	if _, err := rs.Recv(); err != io.EOF {
		t.Fatalf("reflection ended with %v", err)
	}
}

// What is registered is described as grpc-go's server describes it.
func TestServiceInfo(t *testing.T) {
	ours, theirs := grpc.NewServer(grpc.Config{}), stock.NewServer()
	new(service).register(ours)
	new(service).register(theirs)
	sorted := func(all map[string]stock.ServiceInfo) string {
		for _, info := range all {
			slices.SortFunc(info.Methods, func(a, b stock.MethodInfo) int { return strings.Compare(a.Name, b.Name) })
		}
		return fmt.Sprint(all)
	}
	want(t, sorted(ours.GetServiceInfo()), sorted(theirs.GetServiceInfo()))
}

// Registering what cannot be is a fault of the program.
func TestRegisterFaults(t *testing.T) {
	panics := func(what string, f func()) {
		t.Helper()
		defer func() {
			if v := recover(); v == nil {
				t.Errorf("%s: no panic", what)
			}
		}()
		f()
	}
	srv := grpc.NewServer(grpc.Config{})
	new(service).register(srv)
	panics("twice", func() { new(service).register(srv) })
	panics("not the service", func() { srv.RegisterService(&healthpb.Health_ServiceDesc, new(service)) })
	if _, there := srv.GetServiceInfo()["grpc.health.v1.Health"]; there {
		t.Error("a refused service is listed")
	}
}

// What a handler waits for ends with its client's cancellation, and Shutdown
// waits for the calls there are while it takes no new ones.
func TestCancelAndShutdown(t *testing.T) {
	began, release, ended := make(chan struct{}, 1), make(chan struct{}), make(chan error, 1)
	svc := &service{
		duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
			began <- struct{}{}
			<-ss.Context().Done()
			_, err := ss.Recv()
			ended <- errors.Join(ss.Context().Err(), err)
			return err
		},
		unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			began <- struct{}{}
			<-release
			return text("late"), nil
		},
	}
	srv, _, addr := serve(t, grpc.Config{}, svc.register)
	cc := dial(t, addr)
	tc := testgrpc.NewTestServiceClient(cc)

	ctx, cancel := context.WithCancel(within(t))
	_, err := tc.FullDuplexCall(ctx)
	ok(t, err)
	<-began
	cancel()
	err = <-ended
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "code = Canceled desc = context canceled") {
		t.Fatalf("the handler saw %v", err)
	}

	answered := make(chan string, 1)
	go func() {
		var d diary
		d.call(within(t), cc, 1)
		answered <- d.String()
	}()
	<-began
	down := make(chan error, 1)
	go func() { down <- srv.Shutdown(within(t)) }()
	select {
	case err := <-down:
		t.Fatalf("Shutdown did not wait for the call: %v", err)
	default:
	}
	close(release)
	if s := <-answered; !strings.Contains(s, "late") {
		t.Fatalf("the call under Shutdown:\n%s", s)
	}
	ok(t, <-down)
	want(t, status.Code(cc.Invoke(within(t), testgrpc.TestService_UnaryCall_FullMethodName, &testpb.SimpleRequest{}, &testpb.SimpleResponse{})),
		codes.Unavailable)
}
