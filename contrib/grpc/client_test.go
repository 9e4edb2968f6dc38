package grpc_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding/gzip"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/stream"
)

// talk answers each message with its text.
func talk(ss testgrpc.TestService_FullDuplexCallServer) error {
	for {
		req, err := ss.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := ss.Send(chunk(string(req.GetPayload().GetBody()))); err != nil {
			return err
		}
	}
}

func bodyOf(s string) *testpb.StreamingOutputCallRequest {
	return &testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: []byte(s)}}
}

func TestClientOptionsOut(t *testing.T) {
	s := &service{unary: func(ctx context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		stock.SetHeader(ctx, metadata.Pairs("h", strings.Join(md["k"], "+"), "h-bin", "\x00\x01"))
		stock.SetTrailer(ctx, metadata.Pairs("t", "2"))
		return text(md["user-agent"][0]), nil
	}}
	cc := newClient(t, serveStock(t, s.register), grpc.ClientConfig{})
	var header, trailer metadata.MD
	var p peer.Peer
	var ended []error
	ctx := metadata.AppendToOutgoingContext(within(t), "k", "1", "K", "2")
	r, err := testgrpc.NewTestServiceClient(cc).UnaryCall(ctx, &testpb.SimpleRequest{}, stock.Header(&header), stock.Trailer(&trailer), stock.Peer(&p),
		stock.OnFinish(func(err error) { ended = append(ended, err) }), stock.StaticMethod())
	ok(t, err)
	want(t, string(r.Payload.Body), "grpc-go-weir")
	want(t, fmt.Sprint(header["h"], header["h-bin"], header["content-type"]), fmt.Sprint([]string{"1+2"}, []string{"\x00\x01"}, []string{"application/grpc"}))
	want(t, fmt.Sprint(trailer["t"]), "[2]")
	if p.Addr == nil || p.Addr.(*net.TCPAddr).Port == 0 {
		t.Errorf("peer %v", p)
	}
	if len(ended) != 1 || ended[0] != nil {
		t.Errorf("finished with %v", ended)
	}
}

func TestClientErrors(t *testing.T) {
	s := &service{unary: func(ctx context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		switch string(req.GetPayload().GetBody()) {
		case "details":
			st, _ := status.New(codes.Aborted, "no: ü%").WithDetails(&testpb.Empty{}, &testpb.SimpleRequest{ResponseSize: 7})
			return nil, st.Err()
		case "large":
			return text(strings.Repeat("x", 100_000)), nil
		case "wait":
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return text(""), nil
	}, duplex: talk}
	cc := newClient(t, serveStock(t, s.register), grpc.ClientConfig{})
	client := testgrpc.NewTestServiceClient(cc)
	call := func(ctx context.Context, body string, o ...stock.CallOption) error {
		_, err := client.UnaryCall(ctx, &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte(body)}}, o...)
		return err
	}
	st := status.Convert(call(within(t), "details"))
	if st.Code() != codes.Aborted || st.Message() != "no: ü%" || len(st.Details()) != 2 || st.Details()[1].(*testpb.SimpleRequest).ResponseSize != 7 {
		t.Errorf("%v with %v", st, st.Details())
	}
	late, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	gone, cancel2 := context.WithCancel(context.Background())
	cancel2()
	for _, c := range []struct {
		what string
		err  error
		code codes.Code
		text string
	}{
		{"an answer too large", call(within(t), "large", stock.MaxCallRecvMsgSize(1000)), codes.ResourceExhausted, "larger than max"},
		{"a request too large", call(within(t), "more than 10", stock.MaxCallSendMsgSize(10)), codes.ResourceExhausted, "larger than max (16 vs. 10)"},
		{"a deadline", call(late, "wait"), codes.DeadlineExceeded, "deadline"},
		{"a context that has ended", call(gone, ""), codes.Canceled, "context canceled"},
		{"no such method", cc.Invoke(within(t), "/grpc.testing.TestService/None", &testpb.Empty{}, &testpb.Empty{}), codes.Unimplemented, "unknown method None"},
		{"no such compressor", call(within(t), "", stock.UseCompressor("zip")), codes.Internal, `"zip"`},
		{"no such codec", call(within(t), "", stock.CallContentSubtype("yaml")), codes.Internal, "yaml"},
		{"insecure credentials", call(within(t), "", stock.PerRPCCredentials(token{})), codes.Unauthenticated, "TLS"},
		{"unknown option", call(within(t), "", odd{}), codes.Unimplemented, "grpc_test.odd"},
	} {
		if s := status.Convert(c.err); s.Code() != c.code || !strings.Contains(s.Message(), c.text) {
			t.Errorf("%s: %v", c.what, c.err)
		}
	}
}

type odd struct{ stock.EmptyCallOption }

type token struct{}

func (token) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	info, _ := credentials.RequestInfoFromContext(ctx)
	return map[string]string{"Authorization": "for " + strings.Join(uri, " ") + " " + info.Method}, nil
}
func (token) RequireTransportSecurity() bool { return true }

func TestClientCompression(t *testing.T) {
	s := &service{duplex: talk, unary: func(_ context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		return &testpb.SimpleResponse{Payload: req.Payload}, nil
	}}
	cc := newClient(t, serveStock(t, s.register), grpc.ClientConfig{})
	client := testgrpc.NewTestServiceClient(cc)
	big := strings.Repeat("to be pressed ", 20_000)
	r, err := client.UnaryCall(within(t), &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte(big)}}, stock.UseCompressor(gzip.Name))
	ok(t, err)
	want(t, string(r.Payload.Body), big)
	ss, err := client.FullDuplexCall(within(t), stock.UseCompressor(gzip.Name))
	ok(t, err)
	for i := range 20 {
		ok(t, ss.Send(bodyOf(big[:i*1000])))
		m, err := ss.Recv()
		ok(t, err)
		want(t, string(m.Payload.Body), big[:i*1000])
	}
	ok(t, ss.CloseSend())
	if _, err := ss.Recv(); err != io.EOF {
		t.Error(err)
	}
}

// Both directions at once, far more than the windows.
func TestClientFlow(t *testing.T) {
	s := &service{duplex: talk}
	for name, addr := range map[string]string{
		"stock": serveStock(t, s.register),
		"own":   func() string { _, _, a := serve(t, grpc.Config{}, s.register); return a }(),
	} {
		t.Run(name, func(t *testing.T) {
			cc := newClient(t, addr, grpc.ClientConfig{})
			ss, err := testgrpc.NewTestServiceClient(cc).FullDuplexCall(within(t))
			ok(t, err)
			const n = 100
			sent := make(chan error, 1)
			go func() {
				for i := range n {
					if err := ss.Send(bodyOf(string(bytes.Repeat([]byte{byte(i)}, 100_000)))); err != nil {
						sent <- err
						return
					}
				}
				sent <- ss.CloseSend()
			}()
			for i := range n {
				m, err := ss.Recv()
				ok(t, err)
				if b := m.Payload.Body; len(b) != 100_000 || b[0] != byte(i) || b[99_999] != byte(i) {
					t.Fatalf("message %d: %d bytes", i, len(b))
				}
			}
			if _, err := ss.Recv(); err != io.EOF {
				t.Error(err)
			}
			ok(t, <-sent)
		})
	}
}

func TestClientHeaderOfStreams(t *testing.T) {
	s := &service{
		duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
			ok(t, ss.SendHeader(metadata.Pairs("a", "1")))
			ss.SetTrailer(metadata.Pairs("b", "2"))
			ss.Recv()
			return nil
		},
		output: func(_ *testpb.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error {
			ss.SetTrailer(metadata.Pairs("b", "3"))
			return status.Error(codes.NotFound, "no")
		},
	}
	client := testgrpc.NewTestServiceClient(newClient(t, serveStock(t, s.register), grpc.ClientConfig{}))
	ss, err := client.FullDuplexCall(within(t))
	ok(t, err)
	md, err := ss.Header()
	ok(t, err)
	want(t, fmt.Sprint(md["a"], ss.Trailer()), "[1] map[]")
	ok(t, ss.CloseSend())
	if _, err := ss.Recv(); err != io.EOF {
		t.Error(err)
	}
	want(t, fmt.Sprint(ss.Trailer()["b"]), "[2]")
	if err := ss.Send(bodyOf("")); status.Code(err) != codes.Internal {
		t.Errorf("a message after CloseSend: %v", err)
	}

	out, err := client.StreamingOutputCall(within(t), &testpb.StreamingOutputCallRequest{})
	ok(t, err)
	md, err = out.Header()
	if md != nil || err != nil {
		t.Errorf("the header of a status: %v, %v", md, err)
	}
	if _, err := out.Recv(); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
	want(t, fmt.Sprint(out.Trailer()["b"]), "[3]")
}

// The server says no while the client still sends: io.EOF, and the status.
func TestClientSendAfterEnd(t *testing.T) {
	s := &service{duplex: func(testgrpc.TestService_FullDuplexCallServer) error { return status.Error(codes.DataLoss, "enough") }}
	ss, err := testgrpc.NewTestServiceClient(newClient(t, serveStock(t, s.register), grpc.ClientConfig{})).FullDuplexCall(within(t))
	ok(t, err)
	for err == nil {
		err = ss.Send(bodyOf(strings.Repeat("x", 1000)))
	}
	want(t, err, io.EOF)
	if _, err := ss.Recv(); status.Code(err) != codes.DataLoss {
		t.Error(err)
	}
}

// The call has ended before its only request is sent: generated code gives up
// when SendMsg fails, and the status and the trailers would be lost.
func TestClientSendAfterRefusal(t *testing.T) {
	short := newShortOf(bounds.Verdict{State: bounds.Shed, Resource: bounds.Descriptors, Back: time.Second})
	_, _, addr := serve(t, grpc.Config{Config: stream.Config{Admit: short}}, echoing().register)
	for name, cc := range map[string]stock.ClientConnInterface{
		"grpc-go":    dial(t, addr),
		"weir":       newClient(t, addr, grpc.ClientConfig{}),
		"with twins": newClient(t, addr, grpc.ClientConfig{Twins: &grpc.Twins{}}),
	} {
		begin := func(ctx context.Context, o ...stock.CallOption) stock.ClientStream {
			cs, err := cc.NewStream(ctx, &stock.StreamDesc{ServerStreams: true}, outputName, o...)
			ok(t, err)
			return cs
		}
		expect := func(cs stock.ClientStream, code codes.Code) {
			t.Helper()
			if err := cs.SendMsg(&testpb.StreamingOutputCallRequest{}); err != nil {
				t.Errorf("%s: sent: %v", name, err)
			}
			ok(t, cs.CloseSend())
			if err := cs.RecvMsg(&testpb.StreamingOutputCallResponse{}); status.Code(err) != code {
				t.Errorf("%s: received: %v, want %v", name, err, code)
			}
		}
		short.verdict.Store(&bounds.Verdict{State: bounds.Shed, Resource: bounds.Descriptors, Back: time.Second})
		cs := begin(within(t))
		_, err := cs.Header() // it has ended by then
		ok(t, err)
		expect(cs, codes.Unavailable)
		want(t, fmt.Sprint(cs.Trailer()["weir-degraded"]), "[descriptors]")

		short.verdict.Store(&bounds.Verdict{})
		ctx, cancel := context.WithCancel(within(t))
		over := make(chan struct{})
		cs = begin(ctx, stock.OnFinish(func(error) { close(over) }))
		cancel()
		<-over
		expect(cs, codes.Canceled)
	}
}

func TestClientInterceptors(t *testing.T) {
	s := &service{duplex: talk, unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) { return text("x"), nil }}
	var mu sync.Mutex
	var told []string
	tell := func(s string) { mu.Lock(); defer mu.Unlock(); told = append(told, s) }
	unary := func(name string) stock.UnaryClientInterceptor {
		return func(ctx context.Context, method string, req, reply any, cc *stock.ClientConn, next stock.UnaryInvoker, o ...stock.CallOption) error {
			tell(name + ">")
			err := next(ctx, method, req, reply, cc, o...)
			tell("<" + name)
			return err
		}
	}
	streaming := func(name string) stock.StreamClientInterceptor {
		return func(ctx context.Context, desc *stock.StreamDesc, cc *stock.ClientConn, method string, next stock.Streamer, o ...stock.CallOption) (stock.ClientStream, error) {
			tell(name + ":" + desc.StreamName)
			return next(ctx, desc, cc, method, o...)
		}
	}
	cc := newClient(t, serveStock(t, s.register), grpc.ClientConfig{
		UnaryInterceptors:  []stock.UnaryClientInterceptor{unary("a"), unary("b"), unary("c")},
		StreamInterceptors: []stock.StreamClientInterceptor{streaming("d"), streaming("e")},
	})
	client := testgrpc.NewTestServiceClient(cc)
	_, err := client.UnaryCall(within(t), &testpb.SimpleRequest{})
	ok(t, err)
	ss, err := client.FullDuplexCall(within(t))
	ok(t, err)
	ok(t, ss.CloseSend())
	if _, err := ss.Recv(); err != io.EOF {
		t.Error(err)
	}
	want(t, strings.Join(told, " "), "a> b> c> <c <b <a d:FullDuplexCall e:FullDuplexCall")
}

// collector is a stats.Handler that keeps what it is told.
type collector struct {
	mu   sync.Mutex
	told []string
	end  chan struct{}
}

func (c *collector) TagRPC(ctx context.Context, i *stats.RPCTagInfo) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "tagged", i.FullMethodName)
}
func (c *collector) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (c *collector) HandleConn(context.Context, stats.ConnStats)                       {}
func (c *collector) HandleRPC(_ context.Context, s stats.RPCStats) {
	if !s.IsClient() {
		panic("it is a client's")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	name := strings.TrimPrefix(fmt.Sprintf("%T", s), "*stats.")
	switch s := s.(type) {
	case *stats.InPayload:
		name = fmt.Sprintf("%s(%d)", name, s.WireLength)
	case *stats.End:
		name = fmt.Sprintf("%s(%v)", name, status.Code(s.Error))
	case *stats.InTrailer:
		name = fmt.Sprintf("%s(%v)", name, s.Trailer["t"])
	}
	c.told = append(c.told, name)
	if strings.HasPrefix(name, "End") {
		close(c.end)
	}
}

func TestClientStats(t *testing.T) {
	s := &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		stock.SetTrailer(ctx, metadata.Pairs("t", "1"))
		return text(md["tagged"][0]), nil
	}, duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error { <-ss.Context().Done(); return nil }}
	addr := serveStock(t, s.register)
	c := &collector{end: make(chan struct{})}
	cc := newClient(t, addr, grpc.ClientConfig{Stats: []stats.Handler{c}})
	client := testgrpc.NewTestServiceClient(cc)
	r, err := client.UnaryCall(within(t), &testpb.SimpleRequest{})
	ok(t, err)
	want(t, string(r.Payload.Body), "/grpc.testing.TestService/UnaryCall")
	want(t, strings.Join(c.told, " "), "Begin OutHeader OutPayload InHeader InPayload(44) InTrailer([1]) End(OK)")

	// The end is told without anybody receiving.
	c.told, c.end = nil, make(chan struct{})
	ctx, cancel := context.WithCancel(within(t))
	_, err = client.FullDuplexCall(ctx)
	ok(t, err)
	cancel()
	<-c.end
	if got := c.told[len(c.told)-1]; got != "End(Canceled)" {
		t.Error(got)
	}
}
