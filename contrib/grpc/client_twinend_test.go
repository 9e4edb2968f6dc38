package grpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
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
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/stream"
)

// Whoever waits in a call that its twin serves is told at once when the call ends.
func TestTwinsEndAtOnce(t *testing.T) {
	for name, end := range map[string]func(*twins, context.CancelFunc) codes.Code{
		"cancelled": func(_ *twins, cancel context.CancelFunc) codes.Code { cancel(); return codes.Canceled },
		"closed":    func(x *twins, _ context.CancelFunc) codes.Code { x.Close(); return codes.Canceled },
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			x := newTwins(t, &service{unary: numbered(&calls)}, scarce(time.Hour), grpc.Twins{Every: time.Hour, Queue: 2})
			ctx, cancel := context.WithCancel(within(t))
			defer cancel()
			poll, err := x.StreamingOutputCall(ctx, asked("a"))
			ok(t, err)
			_, err = poll.Recv()
			ok(t, err)
			talk, err := x.FullDuplexCall(ctx)
			ok(t, err)
			ok(t, talk.Send(bodyOf("a")))
			_, err = talk.Recv()
			ok(t, err)
			idle, err := x.FullDuplexCall(ctx)
			ok(t, err)
			ok(t, idle.Send(bodyOf("a")))
			_, err = idle.Recv()
			ok(t, err)
			got := make(chan error, 3)
			go func() { _, err := poll.Recv(); got <- err }()
			go func() { _, err := idle.Recv(); got <- err }()
			go func() { // it fills the queue, and waits
				for {
					if err := talk.Send(bodyOf("b")); err != nil {
						_, err = talk.Recv()
						for err == nil {
							_, err = talk.Recv()
						}
						got <- err
						return
					}
				}
			}()
			code := end(x, cancel)
			for range 3 {
				if err := <-got; status.Code(err) != code {
					t.Errorf("%v, want %v", err, code)
				}
			}
			until(t, "nobody follows", func() bool { return x.TwinStats().Now == 0 })
		})
	}
}

// A twin that is being asked when the client is closed says nothing else than who
// waits for his turn.
func TestTwinUnderWayWhenClosed(t *testing.T) {
	under := make(chan struct{})
	x := newTwins(t, &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		close(under)
		<-ctx.Done()
		return nil, ctx.Err()
	}}, scarce(time.Hour), grpc.Twins{})
	ss, err := x.StreamingOutputCall(within(t), asked("a"))
	ok(t, err)
	got := make(chan error, 1)
	go func() { _, err := ss.Recv(); got <- err }()
	<-under
	x.Close()
	want(t, status.Code(<-got), codes.Canceled)
}

// What is followed, and what ends the call as it would without.
func TestWhatIsFollowed(t *testing.T) {
	full := []string{"weir-degraded", "memory", "weir-twin", unaryName, "grpc-retry-pushback-ms", "3600000"}
	for _, c := range []struct {
		name    string
		code    codes.Code
		trailer []string
		header  bool
		plain   bool // a client without Twins
		follows bool
		bidi    bool // and so does a bidirectional call
	}{
		{"all is said", codes.Unavailable, full, false, false, true, true},
		{"exhausted", codes.ResourceExhausted, full, false, false, true, true},
		{"no pushback", codes.Unavailable, full[:4], false, false, true, true},
		{"begun already", codes.Unavailable, full, true, false, true, false},
		{"a client without", codes.Unavailable, full, false, true, false, false},
		{"no twin", codes.Unavailable, full[:2], false, false, false, false},
		{"not short", codes.Unavailable, full[2:], false, false, false, false},
		{"another code", codes.Aborted, full, false, false, false, false},
		{"no method", codes.Unavailable, []string{"weir-degraded", "memory", "weir-twin", "UnaryCall"}, false, false, false, false},
		{"no service", codes.Unavailable, []string{"weir-degraded", "memory", "weir-twin", "//x"}, false, false, false, false},
		{"two twins", codes.Unavailable, append(full, "weir-twin", "/a/B"), false, false, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			refuse := func(ss stock.ServerStream) error {
				if c.header {
					ss.SendHeader(nil)
				}
				ss.SetTrailer(metadata.Pairs(c.trailer...))
				return status.Error(c.code, "no room")
			}
			var calls atomic.Int64
			s := &service{
				unary: numbered(&calls),
				output: func(_ *testpb.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error {
					return refuse(ss)
				},
				duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error { return refuse(ss) },
			}
			set := &grpc.Twins{}
			if c.plain {
				set = nil
			}
			client := testgrpc.NewTestServiceClient(newClient(t, serveStock(t, s.register), grpc.ClientConfig{Twins: set}))
			out, err := client.StreamingOutputCall(within(t), asked("a"))
			ok(t, err)
			_, err = out.Recv()
			duplex, err2 := client.FullDuplexCall(within(t))
			ok(t, err2)
			duplex.Send(bodyOf("a"))
			_, err2 = duplex.Recv()
			for i, err := range []error{err, err2} {
				follows := []bool{c.follows, c.bidi}[i]
				if follows && err != nil || !follows && status.Code(err) != c.code {
					t.Errorf("it ends with %v", err)
				}
			}
		})
	}
}

// A twin that is refused with a pushback is asked again; any other error of its is
// the call's. Unary interceptors are around it.
func TestTwinFails(t *testing.T) {
	var calls, around atomic.Int64
	s := &service{unary: func(ctx context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		switch calls.Add(1) {
		case 1:
			stock.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", "1"))
			return nil, status.Error(codes.Unavailable, "later")
		case 2:
			return text(string(r.Payload.Body)), nil
		}
		return nil, status.Error(codes.NotFound, "it is sold")
	}}
	_, _, addr := serve(t, grpc.Config{
		Config:  stream.Config{Admit: newShortOf(scarce(time.Hour))},
		Methods: map[string]grpc.MethodOptions{outputName: {Twin: twinName}},
	}, s.register)
	cc := newClient(t, addr, grpc.ClientConfig{
		Twins: &grpc.Twins{Every: time.Millisecond},
		UnaryInterceptors: []stock.UnaryClientInterceptor{func(ctx context.Context, method string, req, reply any, cc *stock.ClientConn, invoke stock.UnaryInvoker, opts ...stock.CallOption) error {
			around.Add(1)
			return invoke(ctx, method, req, reply, cc, opts...)
		}},
	})
	ss, err := testgrpc.NewTestServiceClient(cc).StreamingOutputCall(within(t), asked("house"))
	ok(t, err)
	m, err := ss.Recv()
	ok(t, err)
	want(t, string(m.Payload.Body), "house")
	for range 2 {
		if _, err = ss.Recv(); status.Code(err) != codes.NotFound {
			t.Error(err)
		}
	}
	want(t, around.Load(), 3)
	want(t, cc.TwinStats().Now, 0)
}

// A caller that leaves without a word is told by its hook, and is not counted.
func TestTwinsAbandoned(t *testing.T) {
	var calls atomic.Int64
	x := newTwins(t, &service{unary: numbered(&calls)}, scarce(time.Hour), grpc.Twins{})
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	end := make(chan error, 1)
	ss, err := x.StreamingOutputCall(ctx, asked("a"), stock.OnFinish(func(err error) { end <- err }))
	ok(t, err)
	_, err = ss.Recv()
	ok(t, err)
	want(t, x.TwinStats().Now, 1)
	cancel()
	if err := <-end; status.Code(err) != codes.Canceled && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	until(t, "nobody follows", func() bool { return x.TwinStats().Now == 0 })
}

// closedDoor is a stream.Breaker that lets nobody through.
type closedDoor struct{}

var errDoor = errors.New("nobody is let through")

func (closedDoor) Allow(string) (func(error), error) { return nil, errDoor }

// A breaker's error is that of the calls, with a status.
func TestClientBreaker(t *testing.T) {
	cc := newClient(t, "127.0.0.1:1", grpc.ClientConfig{ClientConfig: stream.ClientConfig{Breaker: closedDoor{}}})
	client := testgrpc.NewTestServiceClient(cc)
	_, err := client.UnaryCall(within(t), &testpb.SimpleRequest{})
	_, err2 := client.FullDuplexCall(within(t))
	for _, err := range []error{err, err2} {
		if !errors.Is(err, errDoor) || status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "nobody is let through") {
			t.Errorf("%v", err)
		}
	}
	want(t, cc.Core().Stats().Dials, 0)
}

// While room comes and goes, each message of each call is seen once and answered in
// its turn, by whomever.
func TestTwinsWhileRoomComesAndGoes(t *testing.T) {
	const calls, messages = 8, 40
	var mu sync.Mutex
	seen := map[string]int{}
	note := func(b []byte) string {
		mu.Lock()
		defer mu.Unlock()
		seen[string(b)]++
		return string(b)
	}
	s := &service{unary: func(_ context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		return text(note(r.Payload.Body)), nil
	}, duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
		for m, err := ss.Recv(); err == nil; m, err = ss.Recv() {
			if err := ss.Send(chunk(note(m.Payload.Body))); err != nil {
				return err
			}
		}
		return nil
	}}
	x := newTwins(t, s, scarce(time.Millisecond), grpc.Twins{Every: time.Millisecond})
	stop, flips := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(flips)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			next := scarce(time.Millisecond)
			if x.short.Verdict().State != bounds.Normal {
				next = bounds.Verdict{}
			}
			x.short.verdict.Store(&next)
		}
	}()
	var all sync.WaitGroup
	for k := range calls {
		ss, err := x.FullDuplexCall(within(t))
		ok(t, err)
		all.Go(func() {
			for i := range messages {
				if err := ss.Send(bodyOf(fmt.Sprint(k, " ", i))); err != nil {
					t.Error(err)
				}
			}
			ss.CloseSend()
		})
		all.Go(func() {
			for i := range messages {
				m, err := ss.Recv()
				if err != nil || string(m.Payload.Body) != fmt.Sprint(k, " ", i) {
					t.Errorf("call %d, message %d: %v, %v", k, i, m, err)
					return
				}
			}
			if _, err := ss.Recv(); err != io.EOF {
				t.Errorf("call %d: %v", k, err)
			}
		})
	}
	all.Wait()
	close(stop)
	<-flips
	for id, n := range seen {
		want(t, fmt.Sprint(id, ": ", n), id+": 1")
	}
	want(t, len(seen), calls*messages)
	want(t, x.TwinStats().Now, 0)
	t.Logf("%+v", x.TwinStats())
}
