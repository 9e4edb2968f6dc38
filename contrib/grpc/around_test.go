package grpc_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/contrib/grpc"
)

// trail collects what happened, in order, from any goroutine.
type trail struct {
	mu  sync.Mutex
	all []string
}

func (l *trail) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, fmt.Sprintf(format, args...))
}

func (l *trail) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.all = nil }()
	return strings.Join(l.all, "\n")
}

type nameKey struct{}

// unary and stream are interceptors that leave a trail, and a value in the
// context of unary calls.
func (l *trail) unary(name string) stock.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *stock.UnaryServerInfo, h stock.UnaryHandler) (any, error) {
		l.add("%s in %s %T", name, info.FullMethod, info.Server)
		resp, err := h(context.WithValue(ctx, nameKey{}, name), req)
		l.add("%s out %v", name, status.Code(err))
		return resp, err
	}
}

func (l *trail) stream(name string) stock.StreamServerInterceptor {
	return func(srv any, ss stock.ServerStream, info *stock.StreamServerInfo, h stock.StreamHandler) error {
		l.add("%s in %s %T %v %v", name, info.FullMethod, srv, info.IsClientStream, info.IsServerStream)
		err := h(srv, ss)
		l.add("%s out %v", name, status.Code(err))
		return err
	}
}

// Interceptors are called in the order, and with what, grpc-go's server does.
func TestInterceptors(t *testing.T) {
	svc := &service{
		unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			return nil, status.Errorf(codes.NotFound, "below %v", ctx.Value(nameKey{}))
		},
		duplex: echo,
	}
	for _, names := range [][]string{{"a"}, {"a", "b"}, {"a", "b", "c"}} {
		var ours, theirs trail
		cfg := grpc.Config{}
		var u []stock.UnaryServerInterceptor
		var s []stock.StreamServerInterceptor
		for _, n := range names {
			cfg.UnaryInterceptors = append(cfg.UnaryInterceptors, ours.unary(n))
			cfg.StreamInterceptors = append(cfg.StreamInterceptors, ours.stream(n))
			u, s = append(u, theirs.unary(n)), append(s, theirs.stream(n))
		}
		_, _, addr := serve(t, cfg, svc.register)
		other := serveStock(t, svc.register, stock.ChainUnaryInterceptor(u...), stock.ChainStreamInterceptor(s...))
		for _, drive := range []func(context.Context, *diary, *stock.ClientConn){oneCall, oneDuplex} {
			var a, b diary
			drive(within(t), &a, dial(t, addr))
			drive(within(t), &b, dial(t, other))
			want(t, a.String(), b.String())
			got := ours.take()
			want(t, got, theirs.take())
			if strings.Count(got, "\n") != 2*len(names)-1 {
				t.Fatalf("%d interceptors leave\n%s", len(names), got)
			}
		}
	}
}

// teller is a stats.Handler that leaves a trail.
type teller struct{ *trail }

type tagKey struct{}

func (l teller) TagRPC(ctx context.Context, i *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, tagKey{}, i.FullMethodName)
}
func (teller) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (teller) HandleConn(context.Context, stats.ConnStats)                       {}

func (l teller) HandleRPC(ctx context.Context, s stats.RPCStats) {
	tag := ctx.Value(tagKey{})
	switch s := s.(type) {
	case *stats.InHeader:
		l.add("%v in header %v %v", tag, s.FullMethod, s.Header["user-agent"])
	case *stats.Begin:
		l.add("%v begin %v %v", tag, s.IsClientStream, s.IsServerStream)
	case *stats.InPayload:
		l.add("%v in %T %d %d %d", tag, s.Payload, s.Length, s.CompressedLength, s.WireLength)
	case *stats.OutHeader:
		l.add("%v out header %v", tag, s.Header)
	case *stats.OutPayload:
		l.add("%v out %T %d %d %d", tag, s.Payload, s.Length, s.CompressedLength, s.WireLength)
	case *stats.End:
		l.add("%v end %v", tag, s.Error)
	}
}

// Stats handlers are told the same as grpc-go tells them; trailers aside, which
// it tells from another goroutine.
func TestStats(t *testing.T) {
	tagged := make(chan any, 16)
	svc := &service{
		unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			tagged <- ctx.Value(tagKey{})
			return text("hi"), nil
		},
		duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
			if err := echo(ss); err != nil {
				return err
			}
			return detailed()
		},
	}
	for _, drive := range []func(context.Context, *diary, *stock.ClientConn){oneCall, oneDuplex} {
		var ours, theirs trail
		srv, _, addr := serve(t, grpc.Config{Stats: []stats.Handler{teller{&ours}}}, svc.register)
		drive(within(t), new(diary), dial(t, addr))
		srv.Close()

		ended := make(chan struct{})
		other := serveStock(t, svc.register, stock.StatsHandler(endTeller{teller{&theirs}, ended}))
		drive(within(t), new(diary), dial(t, other))
		<-ended
		got := ours.take()
		want(t, got, theirs.take())
		if !strings.Contains(got, "end") {
			t.Fatalf("no end in\n%s", got)
		}
	}
	want(t, (<-tagged).(string), testgrpc.TestService_UnaryCall_FullMethodName)
}

// endTeller says when the call has ended.
type endTeller struct {
	teller
	ended chan struct{}
}

func (l endTeller) HandleRPC(ctx context.Context, s stats.RPCStats) {
	l.teller.HandleRPC(ctx, s)
	if _, end := s.(*stats.End); end {
		close(l.ended)
	}
}
