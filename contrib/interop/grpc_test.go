package interop_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/certs"
	"github.com/weir-go/weir/internal/ports"
	"github.com/weir-go/weir/netconn"
)

// service is grpc's own test service, as its interop clients expect it.
type service struct {
	pb.UnimplementedTestServiceServer
	waiting chan struct{} // told when a call that never answers has arrived
}

func payload(n int) *pb.Payload { return &pb.Payload{Body: bytes.Repeat([]byte{byte(n)}, n)} }

func (s *service) EmptyCall(ctx context.Context, _ *pb.Empty) (*pb.Empty, error) {
	s.waiting <- struct{}{}
	<-ctx.Done()
	return nil, status.FromContextError(ctx.Err()).Err()
}

func (*service) UnaryCall(_ context.Context, r *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	if r.ResponseSize > 0 {
		return &pb.SimpleResponse{Payload: payload(int(r.ResponseSize))}, nil
	}
	return &pb.SimpleResponse{Payload: r.Payload}, nil
}

func (*service) StreamingOutputCall(r *pb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
	for _, p := range r.ResponseParameters {
		if err := s.Send(&pb.StreamingOutputCallResponse{Payload: payload(int(p.Size))}); err != nil {
			return err
		}
	}
	return nil
}

func (*service) StreamingInputCall(s grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
	sum := 0
	for {
		r, err := s.Recv()
		if err == io.EOF {
			return s.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: int32(sum)})
		}
		if err != nil {
			return err
		}
		sum += len(r.Payload.Body)
	}
}

func (*service) FullDuplexCall(s grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	for {
		r, err := s.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(&pb.StreamingOutputCallResponse{Payload: r.Payload}); err != nil {
			return err
		}
	}
}

// served is a running grpc.Server.
type served struct {
	*grpc.Server
	service *service
	addr    string
	done    chan error // what Serve returned
}

func serve(t testing.TB, l net.Listener, opts ...grpc.ServerOption) *served {
	t.Helper()
	s := &served{
		Server:  grpc.NewServer(opts...),
		service: &service{waiting: make(chan struct{}, 1)},
		addr:    l.Addr().String(),
		done:    make(chan error, 1),
	}
	pb.RegisterTestServiceServer(s, s.service)
	go func() { s.done <- s.Serve(l) }()
	t.Cleanup(s.Stop)
	return s
}

func connect(t testing.TB, addr string, dial func(ctx context.Context, network, address string) (net.Conn, error), opts ...grpc.DialOption) pb.TestServiceClient {
	t.Helper()
	opts = append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dial(ctx, "tcp", address)
		}),
	}, opts...)
	cc, err := grpc.NewClient("passthrough:///"+addr, opts...)
	ok(t, err)
	t.Cleanup(func() { cc.Close() })
	return pb.NewTestServiceClient(cc)
}

// TestGRPC: stock grpc-go with Weir on both sides and on one, with and without
// TLS.
func TestGRPC(t *testing.T) {
	for _, sides := range [][2]face{{weir, weir}, {weir, stock}, {stock, weir}} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("server=%s client=%s tls=%v", sides[0].name, sides[1].name, secure), func(t *testing.T) {
				rt := start(t)
				l, err := sides[0].listen(rt)
				ok(t, err)
				var so []grpc.ServerOption
				var do []grpc.DialOption
				if secure {
					cert, pool := certs.Identity()
					so = append(so, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
					do = append(do, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool, ServerName: certs.Name})))
				}
				s := serve(t, l, so...)
				c := connect(t, s.addr, sides[1].dial(rt), do...)
				for name, test := range calls {
					t.Run(name, func(t *testing.T) { test(t, s, c) })
				}
			})
		}
	}
}

var calls = map[string]func(t *testing.T, s *served, c pb.TestServiceClient){
	"unary": func(t *testing.T, s *served, c pb.TestServiceClient) {
		for _, size := range []int{0, 1, 1000, 3 << 20} {
			r, err := c.UnaryCall(within(t), &pb.SimpleRequest{Payload: payload(size)})
			ok(t, err)
			want(t, bytes.Equal(r.Payload.GetBody(), payload(size).Body), true)
		}
	},
	"server streams": func(t *testing.T, s *served, c pb.TestServiceClient) {
		sizes := []int{31415, 9, 2653, 1 << 20, 58979}
		r := &pb.StreamingOutputCallRequest{}
		for _, n := range sizes {
			r.ResponseParameters = append(r.ResponseParameters, &pb.ResponseParameters{Size: int32(n)})
		}
		stream, err := c.StreamingOutputCall(within(t), r)
		ok(t, err)
		for _, n := range sizes {
			m, err := stream.Recv()
			ok(t, err)
			want(t, len(m.Payload.Body), n)
		}
		_, err = stream.Recv()
		want(t, err, io.EOF)
	},
	"client streams": func(t *testing.T, s *served, c pb.TestServiceClient) {
		stream, err := c.StreamingInputCall(within(t))
		ok(t, err)
		for _, n := range []int{27182, 8, 1828, 1 << 20} {
			ok(t, stream.Send(&pb.StreamingInputCallRequest{Payload: payload(n)}))
		}
		r, err := stream.CloseAndRecv()
		ok(t, err)
		want(t, r.AggregatedPayloadSize, int32(27182+8+1828+1<<20))
	},
	"both stream": func(t *testing.T, s *served, c pb.TestServiceClient) {
		ok(t, pingPong(within(t), c, 100))
	},
	"a hundred streams at once": func(t *testing.T, s *served, c pb.TestServiceClient) {
		ctx := within(t)
		parallel(t, 100, func(int) error { return pingPong(ctx, c, 20) })
	},
	"deadline": func(t *testing.T, s *served, c pb.TestServiceClient) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		_, err := c.EmptyCall(ctx, &pb.Empty{}, grpc.WaitForReady(true))
		want(t, status.Code(err), codes.DeadlineExceeded)
		select {
		case <-s.service.waiting: // if it got that far
		default:
		}
		ok(t, pingPong(within(t), c, 1))
	},
	"cancel": func(t *testing.T, s *served, c pb.TestServiceClient) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() { <-s.service.waiting; cancel() }()
		_, err := c.EmptyCall(ctx, &pb.Empty{})
		want(t, status.Code(err), codes.Canceled)
		ok(t, pingPong(within(t), c, 1))
	},
}

// pingPong sends n messages on one stream, each after the answer to the last.
func pingPong(ctx context.Context, c pb.TestServiceClient, n int) error {
	stream, err := c.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for i := range n {
		if err := stream.Send(&pb.StreamingOutputCallRequest{Payload: payload(i)}); err != nil {
			return err
		}
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		if len(m.Payload.GetBody()) != i {
			return fmt.Errorf("message %d has %d bytes", i, len(m.Payload.GetBody()))
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if _, err := stream.Recv(); err != io.EOF {
		return fmt.Errorf("at the end: %v", err)
	}
	return nil
}

// TestGRPCGracefulStop: the stream in flight is finished, the port is closed
// before, and Serve returns without an error.
func TestGRPCGracefulStop(t *testing.T) {
	rt := start(t)
	l, err := netconn.Listen(rt, conn.TCP(ports.Hold(t)))
	ok(t, err)
	s := serve(t, l)
	c := connect(t, s.addr, weir.dial(rt))
	stream, err := c.FullDuplexCall(within(t))
	ok(t, err)
	talk := func() {
		ok(t, stream.Send(&pb.StreamingOutputCallRequest{Payload: payload(3)}))
		_, err := stream.Recv()
		ok(t, err)
	}
	talk()
	stopped := make(chan struct{})
	go func() { s.GracefulStop(); close(stopped) }()
	until(t, "the port is closed", func() bool {
		late, err := weir.dial(rt)(within(t), "tcp", s.addr)
		if err == nil {
			late.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	talk()
	ok(t, stream.CloseSend())
	_, err = stream.Recv()
	want(t, err, io.EOF)
	<-stopped
	ok(t, <-s.done)
}
