package grpc_test

import (
	"context"
	"testing"
	"time"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/health" // clients that ask by themselves
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/health"
	"github.com/weir-go/weir/health/healthgrpc"
	"github.com/weir-go/weir/stream"
)

// wellServer is a server with a health, and who switches it.
func wellServer(t *testing.T, cfg healthgrpc.Config) (*health.Health, *healthgrpc.Service, string) {
	t.Helper()
	h := health.New(health.Config{})
	srv, _, addr := serve(t, grpc.Config{Config: stream.Config{Admit: short{}}}, (&service{
		unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) { return text("here"), nil },
	}).register)
	svc, err := healthgrpc.Register(srv.Core(), h, cfg)
	ok(t, err)
	t.Cleanup(svc.Close)
	return h, svc, addr
}

// short is a process that is short of descriptors: the health is watched all the
// same.
type short struct{}

func (short) Admit() error            { return &bounds.Refusal{} }
func (short) Verdict() bounds.Verdict { return bounds.Verdict{State: bounds.Shed} }

const known = "grpc.testing.TestService"

// TestHealthOfTheProcess is asked by grpc-go's generated client, which grpc_health_probe is.
func TestHealthOfTheProcess(t *testing.T) {
	h, svc, addr := wellServer(t, healthgrpc.Config{Services: []string{known}, Watchers: 2})
	client := healthpb.NewHealthClient(dial(t, addr))
	ctx := within(t)
	check := func(service string, expected healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		r, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: service})
		ok(t, err)
		want(t, r.Status, expected)
	}
	check("", healthpb.HealthCheckResponse_NOT_SERVING) // it starts
	_, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: "nobody.Knows"})
	want(t, status.Code(err), codes.NotFound)

	watch := func(service string) func(healthpb.HealthCheckResponse_ServingStatus) {
		w, err := client.Watch(ctx, &healthpb.HealthCheckRequest{Service: service})
		ok(t, err)
		return func(expected healthpb.HealthCheckResponse_ServingStatus) {
			t.Helper()
			r, err := w.Recv()
			ok(t, err)
			want(t, r.Status, expected)
		}
	}
	all, late := watch(""), watch("late.Service")
	all(healthpb.HealthCheckResponse_NOT_SERVING)
	late(healthpb.HealthCheckResponse_SERVICE_UNKNOWN)
	h.Serve()
	all(healthpb.HealthCheckResponse_SERVING)
	check("", healthpb.HealthCheckResponse_SERVING)
	ok(t, svc.Set("late.Service", false))
	late(healthpb.HealthCheckResponse_NOT_SERVING)
	ok(t, svc.Set("late.Service", true))
	late(healthpb.HealthCheckResponse_SERVING)
	ok(t, svc.Set(known, false))

	list, err := client.List(ctx, &healthpb.HealthListRequest{})
	ok(t, err)
	want(t, len(list.Statuses), 3)
	want(t, list.Statuses[""].Status, healthpb.HealthCheckResponse_SERVING)
	want(t, list.Statuses[known].Status, healthpb.HealthCheckResponse_NOT_SERVING)
	want(t, list.Statuses["late.Service"].Status, healthpb.HealthCheckResponse_SERVING)

	more, err := client.Watch(ctx, &healthpb.HealthCheckRequest{})
	ok(t, err)
	_, err = more.Recv()
	want(t, status.Code(err), codes.ResourceExhausted)
	want(t, svc.Stats(), healthgrpc.Stats{Watchers: 2, Refused: 1})

	h.Drain("terminated")
	all(healthpb.HealthCheckResponse_NOT_SERVING)
	late(healthpb.HealthCheckResponse_NOT_SERVING)
	check("", healthpb.HealthCheckResponse_NOT_SERVING)
}

// TestHealthEnds: watchers do not keep a server from ending.
func TestHealthEnds(t *testing.T) {
	h, svc, addr := wellServer(t, healthgrpc.Config{})
	h.Serve()
	w, err := healthpb.NewHealthClient(dial(t, addr)).Watch(within(t), &healthpb.HealthCheckRequest{})
	ok(t, err)
	_, err = w.Recv()
	ok(t, err)
	svc.Close()
	_, err = w.Recv()
	want(t, status.Code(err), codes.Unavailable)
	until(t, "there is no watcher", func() bool { return svc.Stats().Watchers == 0 })
}

// TestWatchHasNoLimits: a watcher hears nothing for as long as nothing changes,
// and is there yet when another stream has come to the server's limits.
func TestWatchHasNoLimits(t *testing.T) {
	const short = 100 * time.Millisecond
	for _, limits := range []stream.Limits{{Idle: short}, {Age: short}} {
		h := health.New(health.Config{})
		h.Serve()
		svc := &service{duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
			<-ss.Context().Done()
			return ss.Context().Err()
		}}
		srv, _, addr := serve(t, grpc.Config{Config: stream.Config{Limits: limits}}, svc.register)
		watched, err := healthgrpc.Register(srv.Core(), h, healthgrpc.Config{})
		ok(t, err)
		t.Cleanup(watched.Close)
		cc := dial(t, addr)
		w, err := healthpb.NewHealthClient(cc).Watch(within(t), &healthpb.HealthCheckRequest{})
		ok(t, err)
		_, err = w.Recv()
		ok(t, err)
		other, err := testgrpc.NewTestServiceClient(cc).FullDuplexCall(within(t))
		ok(t, err)
		if _, err := other.Recv(); err == nil {
			t.Fatal("the other stream has no limit")
		}
		h.Drain("to be heard")
		r, err := w.Recv()
		if err != nil || r.Status != healthpb.HealthCheckResponse_NOT_SERVING {
			t.Errorf("%+v: the watcher hears %v, %v", limits, r, err)
		}
	}
}

// TestClientsAskByThemselves: grpc-go's client with a health check in its service
// configuration waits until the server is well.
func TestClientsAskByThemselves(t *testing.T) {
	h, _, addr := wellServer(t, healthgrpc.Config{Services: []string{known}})
	cc := dial(t, addr, stock.WithDefaultServiceConfig(
		`{"loadBalancingConfig": [{"round_robin":{}}], "healthCheckConfig": {"serviceName": "`+known+`"}}`))
	client := testgrpc.NewTestServiceClient(cc)
	_, err := client.UnaryCall(within(t), &testpb.SimpleRequest{})
	want(t, status.Code(err), codes.Unavailable)
	h.Serve()
	_, err = client.UnaryCall(within(t), &testpb.SimpleRequest{}, stock.WaitForReady(true))
	ok(t, err)
}
