package grpc_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/stream"
)

// shortOf is an Admission that says what the test wants.
type shortOf struct {
	verdict atomic.Pointer[bounds.Verdict]
}

func newShortOf(v bounds.Verdict) *shortOf {
	x := new(shortOf)
	x.verdict.Store(&v)
	return x
}

func (x *shortOf) Verdict() bounds.Verdict { return *x.verdict.Load() }

func (x *shortOf) Admit() error {
	if v := x.Verdict(); v.State != bounds.Normal {
		return &bounds.Refusal{Verdict: v, RetryAfter: v.Back}
	}
	return nil
}

const (
	duplexName = "/grpc.testing.TestService/FullDuplexCall"
	outputName = "/grpc.testing.TestService/StreamingOutputCall"
	inputName  = "/grpc.testing.TestService/StreamingInputCall"
	unaryName  = "/grpc.testing.TestService/UnaryCall"
)

// echoing is a service with each kind of method.
func echoing() *service {
	return &service{
		unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			return text("unary"), nil
		},
		output: func(_ *testpb.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error {
			return ss.Send(chunk("output"))
		},
		input: func(ss testgrpc.TestService_StreamingInputCallServer) error {
			return ss.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: 1})
		},
		duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error { return ss.Send(chunk("duplex")) },
	}
}

// TestSheddingByKind: in Shed, and worse, streams of each kind are refused with
// all that a client needs to know, and unary calls of the same connection are
// answered; and all are again in Normal.
func TestSheddingByKind(t *testing.T) {
	short := newShortOf(bounds.Verdict{State: bounds.Normal})
	srv, _, addr := serve(t, grpc.Config{
		Config:  stream.Config{Admit: short},
		Methods: map[string]grpc.MethodOptions{outputName: {Twin: twinName}, inputName: {Vital: true}},
	}, echoing().register)
	client := testgrpc.NewTestServiceClient(dial(t, addr))
	kinds := []struct {
		name, twin string
		streams    bool
		call       func(o ...stock.CallOption) error
	}{
		{"unary", "", false, func(o ...stock.CallOption) error {
			_, err := client.UnaryCall(within(t), &testpb.SimpleRequest{}, o...)
			return err
		}},
		{"output", twinName, true, func(o ...stock.CallOption) error {
			cs, err := client.StreamingOutputCall(within(t), &testpb.StreamingOutputCallRequest{}, o...)
			if err == nil {
				_, err = cs.Recv()
			}
			return err
		}},
		{"input, which is vital", "", false, func(o ...stock.CallOption) error {
			cs, err := client.StreamingInputCall(within(t), o...)
			if err == nil {
				_, err = cs.CloseAndRecv()
			}
			return err
		}},
		{"duplex", "", true, func(o ...stock.CallOption) error {
			cs, err := client.FullDuplexCall(within(t), o...)
			if err == nil {
				_, err = cs.Recv()
			}
			return err
		}},
	}
	states := []bounds.State{bounds.Normal, bounds.Shed, bounds.Critical, bounds.Hard, bounds.Normal}
	refused := uint64(0)
	for _, state := range states {
		short.verdict.Store(&bounds.Verdict{State: state, Resource: bounds.Descriptors, Back: 1234 * time.Millisecond})
		for _, k := range kinds {
			var trailer metadata.MD
			err := k.call(stock.Trailer(&trailer))
			if !k.streams || state == bounds.Normal {
				if err != nil {
					t.Errorf("%v, %s: %v", state, k.name, err)
				}
				continue
			}
			refused++
			got := fmt.Sprint(status.Code(err), trailer.Get("grpc-retry-pushback-ms"), trailer.Get("weir-degraded"), trailer.Get("weir-twin"))
			twin := []string{}
			if k.twin != "" {
				twin = append(twin, k.twin)
			}
			if want := fmt.Sprint(codes.Unavailable, []string{"1234"}, []string{"descriptors"}, twin); got != want {
				t.Errorf("%v, %s: %v (%s), want %s", state, k.name, err, got, want)
			}
		}
	}
	want(t, srv.Core().Stats().NotAdmitted, refused)
}

// TestFarewell: a client that there is no room for is told so by each of its
// calls, with one connection for each, however it asks.
func TestFarewell(t *testing.T) {
	short := newShortOf(bounds.Verdict{State: bounds.Critical, Resource: bounds.Descriptors, Back: time.Minute})
	srv, rt, addr := listen(t, grpc.Config{Config: stream.Config{Admit: short}}, echoing().register,
		func(s *grpc.Server) conn.Serve { return s.Farewell })
	client := testgrpc.NewTestServiceClient(dial(t, addr))
	told := func(err error, trailer metadata.MD) {
		t.Helper()
		if status.Code(err) != codes.Unavailable || len(trailer.Get("grpc-retry-pushback-ms")) != 1 {
			t.Errorf("told %v, with %v", err, trailer)
		}
		want(t, fmt.Sprint(trailer.Get("weir-degraded")), "[descriptors]")
	}
	const calls = 5
	for range calls {
		var trailer metadata.MD
		_, err := client.UnaryCall(within(t), &testpb.SimpleRequest{}, stock.Trailer(&trailer))
		told(err, trailer)
		trailer = nil
		cs, err := client.FullDuplexCall(within(t), stock.Trailer(&trailer), stock.WaitForReady(true))
		ok(t, err)
		_, err = cs.Recv()
		told(err, trailer)
	}
	want(t, srv.Core().Stats().Farewells, 2*calls)
	// One that had not seen the GOAWAY when the next call was made is tried
	// once more.
	if n := rt.Stats().Accepted; n < 1 || n > 4*calls {
		t.Errorf("%d connections for %d calls", n, 2*calls)
	}
	until(t, "they end", func() bool { return rt.Stats().Conns == 0 })
}

// TestFarewellWithoutACall: a client that connects and says nothing is let go.
func TestFarewellWithoutACall(t *testing.T) {
	_, rt, addr := listen(t, grpc.Config{}, echoing().register, func(s *grpc.Server) conn.Serve { return s.Farewell })
	cc := dial(t, addr)
	cc.Connect()
	until(t, "it connects", func() bool { return rt.Stats().Accepted > 0 })
	until(t, "it ends", func() bool { return rt.Stats().Conns == 0 })
}

// TestShortOfDescriptors with real bounds: nothing is left, and those who are
// connected have their unary calls answered and their streams refused; those who
// are not hear so.
func TestShortOfDescriptors(t *testing.T) {
	b, err := bounds.New(bounds.Config{Rules: bounds.Rules{ // once short, it stays so
		Shed:     bounds.Rule{Enter: 0.85, After: time.Second, Leave: 0.75, Calm: time.Hour},
		Critical: bounds.Rule{Enter: 0.90, Leave: 0.80, Calm: time.Hour},
		Hard:     bounds.Rule{Enter: 0.97, Leave: 0.90, Calm: time.Hour},
	}})
	ok(t, err)
	defer b.Close()
	rt, err := conn.Start(conn.Config{Loops: 2, Bounds: b})
	ok(t, err)
	defer rt.Close()
	srv := grpc.NewServer(grpc.Config{Config: stream.Config{Admit: b}})
	echoing().register(srv)
	defer srv.Close()
	addr, err := conn.ParseAddr("127.0.0.1:0")
	ok(t, err)
	ln, err := conn.ListenConfig{Farewell: srv.Farewell}.Listen(rt, addr, srv.Serve)
	ok(t, err)
	early := testgrpc.NewTestServiceClient(dial(t, ln.Addr().String()))
	_, err = early.UnaryCall(within(t), &testpb.SimpleRequest{})
	ok(t, err)

	b.Exhausted(bounds.Descriptors)
	_, err = early.UnaryCall(within(t), &testpb.SimpleRequest{})
	ok(t, err)
	for _, client := range []testgrpc.TestServiceClient{early, testgrpc.NewTestServiceClient(dial(t, ln.Addr().String()))} {
		var trailer metadata.MD
		cs, err := client.FullDuplexCall(within(t), stock.Trailer(&trailer))
		ok(t, err)
		_, err = cs.Recv()
		if status.Code(err) != codes.Unavailable || len(trailer.Get("grpc-retry-pushback-ms")) != 1 {
			t.Errorf("told %v, with %v", err, trailer)
		}
		want(t, fmt.Sprint(trailer.Get("weir-degraded")), "[descriptors]")
	}
	s := srv.Core().Stats()
	want(t, fmt.Sprint(s.NotAdmitted, s.Farewells), "1 1")
}

// TestStreamLimits: how streams end that take too long, as a client sees it.
func TestStreamLimits(t *testing.T) {
	waits := func(ss testgrpc.TestService_FullDuplexCallServer) error {
		<-ss.Context().Done()
		return ss.Context().Err()
	}
	sends := func(ss testgrpc.TestService_FullDuplexCallServer) error {
		for {
			if err := ss.Send(chunk(string(make([]byte, 1<<20)))); err != nil {
				return err
			}
		}
	}
	recv := func(cs stock.ClientStream) (err error) {
		for err == nil {
			err = cs.RecvMsg(new(testpb.StreamingOutputCallResponse))
		}
		return err
	}
	short := 100 * time.Millisecond
	for _, c := range []struct {
		name, method string
		limits       stream.Limits
		handler      func(testgrpc.TestService_FullDuplexCallServer) error
		code         codes.Code
		count        func(s stream.Stats) uint64
	}{
		{"idle", duplexName, stream.Limits{Idle: short}, waits, codes.DeadlineExceeded, func(s stream.Stats) uint64 { return s.TooIdle }},
		{"a request that does not come", unaryName, stream.Limits{Receive: short}, nil, codes.DeadlineExceeded, func(s stream.Stats) uint64 { return s.NotSent }},
		{"a client that takes nothing", duplexName, stream.Limits{Send: short}, sends, codes.ResourceExhausted, func(s stream.Stats) uint64 { return s.NotTaken }},
		{"age", duplexName, stream.Limits{Age: short}, waits, codes.Unavailable, func(s stream.Stats) uint64 { return s.TooOld }},
	} {
		t.Run(c.name, func(t *testing.T) {
			svc := echoing()
			svc.duplex = c.handler
			srv, _, addr := serve(t, grpc.Config{Methods: map[string]grpc.MethodOptions{c.method: {Limits: c.limits}}}, svc.register)
			cs, err := dial(t, addr).NewStream(within(t), &stock.StreamDesc{ClientStreams: true, ServerStreams: true}, c.method)
			ok(t, err)
			until(t, "it ends", func() bool { return c.count(srv.Core().Stats()) == 1 })
			if err := recv(cs); status.Code(err) != c.code {
				t.Errorf("ended with %v, want %v", err, c.code)
			}
		})
	}
}

// TestServerLooksAround by itself, as long as there are sessions.
func TestServerLooksAround(t *testing.T) {
	noticed := make(chan string, 8)
	short := newShortOf(bounds.Verdict{State: bounds.Normal})
	_, _, addr := serve(t, grpc.Config{Config: stream.Config{Admit: short, Trace: &stream.Trace{
		State: func(from, to bounds.State, of bounds.Resource) { noticed <- fmt.Sprint(from, " ", to, " ", of) },
	}}}, echoing().register)
	client := testgrpc.NewTestServiceClient(dial(t, addr))
	_, err := client.UnaryCall(within(t), &testpb.SimpleRequest{})
	ok(t, err)
	for _, c := range []struct {
		verdict bounds.Verdict
		want    string
	}{
		{bounds.Verdict{State: bounds.Critical, Resource: bounds.Memory}, "normal critical memory"},
		{bounds.Verdict{State: bounds.Normal, Resource: bounds.Memory}, "critical normal memory"},
	} {
		short.verdict.Store(&c.verdict)
		select {
		case got := <-noticed:
			want(t, got, c.want)
		case <-time.After(patience):
			t.Fatalf("nobody has noticed: %s", c.want)
		}
	}
}
