package grpc_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/health"
	"github.com/weir-go/weir/health/healthgrpc"
	"github.com/weir-go/weir/internal/ports"
	"github.com/weir-go/weir/internal/restarttest"
	"github.com/weir-go/weir/lifecycle"
	"github.com/weir-go/weir/restart"
)

// hot is set for the server of TestRestart, which is this program, and hotAt may
// be: where it listens.
const hot, hotAt = "WEIR_TEST_RESTART", "WEIR_TEST_RESTART_AT"

func init() {
	if os.Getenv(hot) == "" {
		return
	}
	if err := runHot(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// hotServer is a gRPC server as one would write it: what is opened first ends last.
type hotServer struct {
	sockets *restart.Sockets
	health  *health.Health
	rt      *conn.Runtime
	ln      *conn.Listener
	srv     *grpc.Server
	well    *healthgrpc.Service
}

func runHot() (err error) {
	s := &hotServer{health: health.New(health.Config{})}
	if s.sockets, err = restart.Begin(restart.Config{}); err != nil {
		return err
	}
	notice, _ := time.ParseDuration(os.Getenv(hot))
	kit := lifecycle.Kit{
		Health: s.health, Handover: s.sockets, Notice: notice,
		Parts: []lifecycle.Part{
			{Name: "runtime", Stage: lifecycle.Sockets, Open: s.start,
				Stop: func(ctx context.Context) error { return errors.Join(s.rt.Shutdown(ctx), s.rt.Close()) }},
			{Name: "grpc", Stage: lifecycle.Servers, Open: s.listen, Stop: s.drain},
		},
		Ready: func() { restarttest.Ready(s.sockets.Generation(), s.ln.Addr()) },
	}
	err = kit.Run(context.Background())
	restarttest.Ended(s.sockets.Generation(), err)
	return err
}

func (s *hotServer) start(context.Context) (err error) {
	s.rt, err = conn.Start(conn.Config{Loops: 2})
	return err
}

func (s *hotServer) listen(context.Context) (err error) {
	s.srv = grpc.NewServer(grpc.Config{})
	answer := &service{unary: func(_ context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		return &testpb.SimpleResponse{Payload: r.Payload}, nil
	}}
	answer.register(s.srv)
	if s.well, err = healthgrpc.Register(s.srv.Core(), s.health, healthgrpc.Config{Services: []string{known}}); err != nil {
		return err
	}
	at, err := conn.ParseAddr(cmp.Or(os.Getenv(hotAt), "127.0.0.1:0"))
	if err != nil {
		return err
	}
	s.ln, err = s.sockets.Listen(s.rt, "grpc", conn.ListenConfig{Balance: conn.PerLoop}, at, s.srv.Serve)
	return err
}

func (s *hotServer) drain(ctx context.Context) error {
	s.ln.Drain()
	s.well.Close()
	return s.srv.Shutdown(ctx)
}

// call makes unary calls by clients of grpc-go, some calls on each connection.
func call(clients []testgrpc.TestServiceClient) func(int) error {
	return func(n int) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		body := fmt.Sprint(n)
		r, err := clients[n%len(clients)].UnaryCall(ctx, &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte(body)}})
		if err == nil && string(r.Payload.GetBody()) != body {
			err = fmt.Errorf("asked %s, heard %s", body, r.Payload.GetBody())
		}
		return err
	}
}

func hotClients(t *testing.T, n int, addr string, o ...stock.DialOption) (all []testgrpc.TestServiceClient) {
	for range n {
		all = append(all, testgrpc.NewTestServiceClient(dial(t, addr, o...)))
	}
	return all
}

// TestRestart restarts a server while grpc-go's clients call it, of whom some keep
// an eye on its health and some come anew for each call. No call fails.
func TestRestart(t *testing.T) {
	restarts, between := 2, uint64(100)
	if os.Getenv("WEIR_FAULTS") == "long" {
		restarts, between = 5, 5000
	}
	s := restarttest.Begin(t, hot+"=0s")
	addr := s.Addrs[0]
	watch := stock.WithDefaultServiceConfig(
		`{"loadBalancingConfig": [{"round_robin":{}}], "healthCheckConfig": {"serviceName": "` + known + `"}}`)
	watching := hotClients(t, 1, addr, watch)
	_, err := watching[0].UnaryCall(within(t), &testpb.SimpleRequest{}, stock.WaitForReady(true))
	ok(t, err)
	loads := map[string]*restarttest.Load{
		"two connections":           restarttest.Ask(8, call(hotClients(t, 2, addr))),
		"one that is watched":       restarttest.Ask(2, call(watching)),
		"a connection for each one": restarttest.Ask(2, func(n int) error { return callAlone(addr, n) }),
	}
	for i := range restarts {
		for _, l := range loads {
			l.More(t, between)
		}
		s.Signal(syscall.SIGHUP)
		s.Serves()
		want(t, s.Generation, i+1)
	}
	for what, l := range loads {
		l.More(t, between)
		l.End(t, what)
	}
	s.Signal(syscall.SIGTERM)
	s.Ends(restarts + 1)
}

// callAlone makes one call on a connection of its own.
func callAlone(addr string, n int) error {
	cc, err := stock.NewClient("passthrough:///"+addr, insecurely)
	if err != nil {
		return err
	}
	defer cc.Close()
	return call([]testgrpc.TestServiceClient{testgrpc.NewTestServiceClient(cc)})(n)
}

// TestEndUnderLoad ends one of two servers while clients that balance between them,
// by their health, call them: no call fails.
func TestEndUnderLoad(t *testing.T) {
	ended := hotAt + "=" + ports.Hold(t).String() // clients ask on there, and find nobody else
	ends, stays := restarttest.Begin(t, hot+"=300ms", ended), restarttest.Begin(t, hot+"=300ms")
	var once sync.Once
	var loads []*restarttest.Load
	for range 2 {
		cc := dialBoth(t, ends.Addrs[0], stays.Addrs[0])
		_, err := testgrpc.NewTestServiceClient(cc).UnaryCall(within(t), &testpb.SimpleRequest{}, stock.WaitForReady(true))
		ok(t, err)
		loads = append(loads, restarttest.Ask(4, call([]testgrpc.TestServiceClient{testgrpc.NewTestServiceClient(cc)})))
	}
	for _, l := range loads {
		l.More(t, 200)
		once.Do(func() { ends.Signal(syscall.SIGTERM) })
	}
	ends.Ends(1)
	for _, l := range loads {
		l.More(t, 200)
		l.End(t, "balanced")
	}
	stays.Signal(syscall.SIGTERM)
	stays.Ends(1)
}

// dialBoth makes a client that takes turns between servers that say they are well.
func dialBoth(t *testing.T, addrs ...string) *stock.ClientConn {
	t.Helper()
	r := manual.NewBuilderWithScheme("both")
	var all []resolver.Address
	for _, a := range addrs {
		all = append(all, resolver.Address{Addr: a})
	}
	r.InitialState(resolver.State{Addresses: all})
	cc, err := stock.NewClient("both:///", stock.WithResolvers(r), insecurely, stock.WithDefaultServiceConfig(
		`{"loadBalancingConfig": [{"round_robin":{}}], "healthCheckConfig": {"serviceName": "`+known+`"}}`))
	ok(t, err)
	t.Cleanup(func() { cc.Close() })
	return cc
}

var insecurely = stock.WithTransportCredentials(insecure.NewCredentials())
