package idemgrpc_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	stock "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/contrib/grpc/idemgrpc"
	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// service answers with what its function says.
type service struct {
	testgrpc.UnimplementedTestServiceServer
	runs atomic.Int32
	call func(ctx context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error)
}

func (s *service) UnaryCall(ctx context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	s.runs.Add(1)
	return s.call(ctx, req)
}

// on runs a test on this module's server and on grpc-go's.
func on(t *testing.T, test func(t *testing.T, serve func(*service, *idemgrpc.Interceptor) testgrpc.TestServiceClient)) {
	t.Run("weir", func(t *testing.T) {
		test(t, func(s *service, i *idemgrpc.Interceptor) testgrpc.TestServiceClient {
			rt, err := conn.Start(conn.Config{Loops: 1})
			ok(t, err)
			srv := grpc.NewServer(grpc.Config{UnaryInterceptors: []stock.UnaryServerInterceptor{i.Unary}})
			testgrpc.RegisterTestServiceServer(srv, s)
			at, err := conn.ParseAddr("127.0.0.1:0")
			ok(t, err)
			ln, err := rt.Listen(at, srv.Serve)
			ok(t, err)
			t.Cleanup(func() { srv.Close(); rt.Close() })
			return client(t, ln.Addr().String())
		})
	})
	t.Run("grpc-go", func(t *testing.T) {
		test(t, func(s *service, i *idemgrpc.Interceptor) testgrpc.TestServiceClient {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			ok(t, err)
			srv := stock.NewServer(stock.ChainUnaryInterceptor(i.Unary))
			testgrpc.RegisterTestServiceServer(srv, s)
			served := make(chan error, 1)
			go func() { served <- srv.Serve(ln) }()
			t.Cleanup(func() { srv.Stop(); ok(t, <-served) })
			return client(t, ln.Addr().String())
		})
	})
}

func client(t *testing.T, addr string) testgrpc.TestServiceClient {
	cc, err := stock.NewClient("passthrough:///"+addr, stock.WithTransportCredentials(insecure.NewCredentials()))
	ok(t, err)
	t.Cleanup(func() { cc.Close() })
	return testgrpc.NewTestServiceClient(cc)
}

func once() *idemgrpc.Interceptor {
	return &idemgrpc.Interceptor{Client: &idem.Client{Store: &idem.Memory{}}, Operation: "test",
		Policy: idem.Policy{Unknown: idem.Redo()}}
}

// ask calls with keys, and says whether the answer was a replay.
func ask(t *testing.T, c testgrpc.TestServiceClient, body string, keys ...string) (answer string, replayed bool, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, k := range keys {
		ctx = metadata.AppendToOutgoingContext(ctx, "Idempotency-Key", k)
	}
	var header metadata.MD
	r, err := c.UnaryCall(ctx, &testpb.SimpleRequest{Payload: payload(body)}, stock.Header(&header))
	return string(r.GetPayload().GetBody()), len(header.Get("idempotency-replayed")) > 0, err
}

func payload(s string) *testpb.Payload { return &testpb.Payload{Body: []byte(s)} }

// reason is what an ErrorInfo says.
func reason(err error) string {
	for _, d := range status.Convert(err).Details() {
		if i, isInfo := d.(*errdetails.ErrorInfo); isInfo && i.Domain == idemgrpc.Domain {
			return i.Reason
		}
	}
	return ""
}

// TestReplay: a call made again is answered as the first time, and says so; one
// without a key, or of a method that keys mean nothing for, runs each time.
func TestReplay(t *testing.T) {
	on(t, func(t *testing.T, serve func(*service, *idemgrpc.Interceptor) testgrpc.TestServiceClient) {
		s := &service{}
		s.call = func(ctx context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			if a := idemgrpc.FromContext(ctx); a != nil && (a.Fence == 0 || a.Key.ID != "k") {
				t.Errorf("attempt %+v", a)
			}
			return &testpb.SimpleResponse{Payload: payload("to " + string(req.Payload.Body)), Username: "u"}, nil
		}
		i := once()
		c := serve(s, i)
		for n := range 3 {
			answer, replayed, err := ask(t, c, "a", "k")
			if err != nil || answer != "to a" || replayed != (n > 0) {
				t.Fatalf("call %d: %q, %v, %v", n, answer, replayed, err)
			}
		}
		_, _, err := ask(t, c, "b", "k")
		check(t, status.Code(err) == codes.FailedPrecondition && reason(err) == idemgrpc.ReasonMismatch, "another request", err)
		check(t, s.runs.Load() == 1, "runs", s.runs.Load())
		for range 2 {
			_, replayed, err := ask(t, c, "a")
			check(t, err == nil && !replayed, "without a key", err)
		}
		check(t, s.runs.Load() == 3, "runs", s.runs.Load())
	})
}

func TestKeys(t *testing.T) {
	on(t, func(t *testing.T, serve func(*service, *idemgrpc.Interceptor) testgrpc.TestServiceClient) {
		s := &service{call: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			return &testpb.SimpleResponse{}, nil
		}}
		i := once()
		i.Required = true
		i.Methods = func(m string) bool { return m == testgrpc.TestService_UnaryCall_FullMethodName }
		space := "one"
		i.Space = func(context.Context) string { return space }
		c := serve(s, i)
		for want, keys := range map[string][]string{
			idemgrpc.ReasonMissing: nil,
			idemgrpc.ReasonKey:     {"one", "two"},
			"empty":                {""},
			"long":                 {strings.Repeat("x", idem.MaxID+1)},
		} {
			_, _, err := ask(t, c, "a", keys...)
			if want == "empty" || want == "long" {
				want = idemgrpc.ReasonKey
			}
			check(t, status.Code(err) == codes.InvalidArgument && reason(err) == want, "keys", err)
		}
		check(t, s.runs.Load() == 0, "runs", s.runs.Load())
		for _, space = range []string{"one", "two"} {
			_, replayed, err := ask(t, c, "a", "k")
			check(t, err == nil && !replayed, "in a space of its own", err)
		}
		i.Methods = func(string) bool { return false }
		_, _, err := ask(t, c, "a")
		check(t, err == nil, "a method that keys mean nothing for", err)
	})
}

// TestStatus: what a handler's code does to the key.
func TestStatus(t *testing.T) {
	plain := errors.New("plain")
	for name, test := range map[string]struct {
		said   error
		second string // of the second call: "stored", "run", "unknown"
	}{
		"final":           {status.Error(codes.InvalidArgument, "no"), "stored"},
		"not found":       {status.Error(codes.NotFound, "no"), "stored"},
		"unavailable":     {status.Error(codes.Unavailable, "later"), "run"},
		"exhausted":       {status.Error(codes.ResourceExhausted, "later"), "run"},
		"aborted":         {status.Error(codes.Aborted, "later"), "run"},
		"unauthenticated": {status.Error(codes.Unauthenticated, "who"), "run"},
		"internal":        {status.Error(codes.Internal, "oh"), "unknown"},
		"plain":           {plain, "unknown"},
		"marked":          {idem.Transient(plain), "unknown"}, // the code is what counts
		"deadline":        {context.DeadlineExceeded, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &service{}
			s.call = func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				if s.runs.Load() == 1 {
					return nil, test.said
				}
				return &testpb.SimpleResponse{Payload: payload("second")}, nil
			}
			i := once()
			i.Policy.Unknown = idem.Halt()
			ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("idempotency-key", "k"))
			call := func() (any, error) {
				return i.Unary(ctx, &testpb.SimpleRequest{}, &stock.UnaryServerInfo{FullMethod: "/a/b"},
					func(ctx context.Context, req any) (any, error) { return s.UnaryCall(ctx, req.(*testpb.SimpleRequest)) })
			}
			_, err := call()
			check(t, err == test.said, "the first caller gets what the handler says", err)
			resp, err := call()
			switch test.second {
			case "stored":
				check(t, status.Code(err) == status.Code(test.said) && s.runs.Load() == 1, "second", err)
			case "run":
				check(t, err == nil && s.runs.Load() == 2 && resp != nil, "second", err)
			case "unknown":
				check(t, status.Code(err) == codes.Internal && reason(err) == idemgrpc.ReasonUnknown && s.runs.Load() == 1, "second", err)
			}
		})
	}
}

// TestInProgress: who asks while it is under way is told to come again, and
// after it to a store that does not answer that nothing was done.
func TestInProgress(t *testing.T) {
	on(t, func(t *testing.T, serve func(*service, *idemgrpc.Interceptor) testgrpc.TestServiceClient) {
		inside, goOn := make(chan struct{}), make(chan struct{})
		s := &service{call: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			close(inside)
			<-goOn
			return &testpb.SimpleResponse{}, nil
		}}
		c := serve(s, once())
		first := make(chan error, 1)
		go func() {
			_, _, err := ask(t, c, "a", "k")
			first <- err
		}()
		<-inside
		_, _, err := ask(t, c, "a", "k")
		check(t, status.Code(err) == codes.Aborted && reason(err) == idemgrpc.ReasonBusy, "second", err)
		close(goOn)
		ok(t, <-first)
		_, replayed, err := ask(t, c, "a", "k")
		check(t, err == nil && replayed, "third", err)
	})
}

type silent struct{ idem.Store }

func (silent) Begin(context.Context, string, idem.Claim) (idem.Grant, error) {
	return idem.Grant{}, idem.ErrFull
}

func TestNoStore(t *testing.T) {
	on(t, func(t *testing.T, serve func(*service, *idemgrpc.Interceptor) testgrpc.TestServiceClient) {
		i := once()
		i.Client = &idem.Client{Store: silent{}}
		s := &service{}
		_, _, err := ask(t, serve(s, i), "a", "k")
		check(t, status.Code(err) == codes.Unavailable && reason(err) == idemgrpc.ReasonUnavailable && s.runs.Load() == 0, "answer", err)
	})
}

// TestNotKept: an answer too long to be kept is given once.
func TestNotKept(t *testing.T) {
	on(t, func(t *testing.T, serve func(*service, *idemgrpc.Interceptor) testgrpc.TestServiceClient) {
		i := once()
		i.Client.MaxResult = 100
		s := &service{call: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			return &testpb.SimpleResponse{Payload: payload(strings.Repeat("x", 200))}, nil
		}}
		c := serve(s, i)
		answer, _, err := ask(t, c, "a", "k")
		check(t, err == nil && len(answer) == 200, "first", err)
		_, _, err = ask(t, c, "a", "k")
		check(t, status.Code(err) == codes.AlreadyExists && reason(err) == idemgrpc.ReasonNotKept && s.runs.Load() == 1, "second", err)
	})
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func check(t testing.TB, ok bool, what string, got any) {
	t.Helper()
	if !ok {
		t.Errorf("%s: %+v", what, got)
	}
}
