package grpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	stock "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // for the stock server
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/stream"
)

// diary is what a client has seen of a call, as lines that can be compared.
type diary struct{ strings.Builder }

func (d *diary) note(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

// end notes a status with all it has.
func (d *diary) end(err error) {
	s := status.Convert(err)
	d.note("%v %q", s.Code(), s.Message())
	for _, x := range s.Details() {
		d.note("detail %v", x)
	}
}

// metadata notes a header or trailers.
func (d *diary) metadata(what string, md metadata.MD) {
	keys := make([]string, 0, len(md))
	for k := range md {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		d.note("%s %s %q", what, k, md[k])
	}
}

// call makes a unary call and notes everything.
func (d *diary) call(ctx context.Context, cc *stock.ClientConn, size int, o ...stock.CallOption) {
	var header, trailer metadata.MD
	o = append(o, stock.Header(&header), stock.Trailer(&trailer))
	req := &testpb.SimpleRequest{Payload: &testpb.Payload{Body: make([]byte, size)}}
	resp, err := testgrpc.NewTestServiceClient(cc).UnaryCall(ctx, req, o...)
	d.metadata("header", header)
	if err == nil {
		d.note("got %q", resp.GetPayload().GetBody())
	}
	d.end(err)
	d.metadata("trailer", trailer)
}

// duplex opens a stream, sends and closes, and notes what comes back.
func (d *diary) duplex(ctx context.Context, cc *stock.ClientConn, sizes []int, o ...stock.CallOption) {
	cs, err := testgrpc.NewTestServiceClient(cc).FullDuplexCall(ctx, o...)
	if err != nil {
		d.end(err)
		return
	}
	for _, n := range sizes {
		// The call may be over by now; Recv says how.
		cs.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: make([]byte, n)}})
	}
	cs.CloseSend()
	d.drain(cs)
}

// drain notes all of an answer.
func (d *diary) drain(cs stock.ClientStream) {
	header, _ := cs.Header()
	d.metadata("header", header)
	for {
		m := new(testpb.StreamingOutputCallResponse)
		if err := cs.RecvMsg(m); err != nil {
			if err == io.EOF {
				err = nil
			}
			d.end(err)
			break
		}
		d.note("got %.80q", m.GetPayload().GetBody())
	}
	d.metadata("trailer", cs.Trailer())
}

// oneCall is the driver of most rows.
func oneCall(ctx context.Context, d *diary, cc *stock.ClientConn) { d.call(ctx, cc, 10) }

func oneDuplex(ctx context.Context, d *diary, cc *stock.ClientConn) { d.duplex(ctx, cc, []int{1, 2}) }

// answers is a unary method with this end.
func answers(resp *testpb.SimpleResponse, err error) *service {
	return &service{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) { return resp, err }}
}

func detailed() error {
	s, err := status.New(codes.FailedPrecondition, "not now: 100 % é\n").WithDetails(
		&errdetails.ErrorInfo{Reason: "CLOSED", Domain: "weir.test"}, &errdetails.DebugInfo{Detail: "d"})
	if err != nil {
		panic(err)
	}
	return s.Err()
}

// comparison is one call, made to both servers.
type comparison struct {
	name  string
	svc   *service
	drive func(ctx context.Context, d *diary, cc *stock.ClientConn)
	has   string // what the diary must have: that the row shows what it is meant to
}

var unaries = []comparison{
	{"ok", answers(text("hello"), nil), oneCall, "OK"},
	{"nil answer", answers(nil, nil), oneCall, ""},
	{"status", answers(nil, status.Error(codes.NotFound, "no")), oneCall, `NotFound "no"`},
	{"details", answers(nil, detailed()), oneCall, "CLOSED"},
	{"wrapped status", answers(nil, fmt.Errorf("around: %w", status.Error(codes.Aborted, "in"))), oneCall, "Aborted"},
	{"wrapped details", answers(nil, fmt.Errorf("around: %w", detailed())), oneCall, "CLOSED"},
	{"plain error", answers(nil, errors.New("boom")), oneCall, `Unknown "boom"`},
	{"canceled", answers(nil, context.Canceled), oneCall, "Canceled"},
	{"deadline", answers(nil, fmt.Errorf("x: %w", context.DeadlineExceeded)), oneCall, "DeadlineExceeded"},
	{"EOF", answers(nil, io.EOF), oneCall, `Unknown "EOF"`},
	{"code of its own", answers(nil, status.Error(codes.Code(77), "own")), oneCall, "77"},
	{"answer and error", answers(text("lost"), status.Error(codes.DataLoss, "")), oneCall, "DataLoss"},
	{"unimplemented method", &service{}, oneCall, "Unimplemented"},
	{"too large", answers(text("never"), nil), func(ctx context.Context, d *diary, cc *stock.ClientConn) {
		d.call(ctx, cc, 5<<20)
	}, "ResourceExhausted"},
	{"answer too large for the client", answers(text(strings.Repeat("x", 5<<20)), nil), oneCall, "ResourceExhausted"},
	{"gzip", answers(text(strings.Repeat("x", 1000)), nil), func(ctx context.Context, d *diary, cc *stock.ClientConn) {
		d.call(ctx, cc, 1000, stock.UseCompressor("gzip"))
	}, "OK"},
	{"metadata both ways", &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		delete(md, ":authority")           // has the port
		delete(md, "grpc-accept-encoding") // see the package's documentation
		stock.SetHeader(ctx, metadata.Pairs("a", "1", "b-bin", "\x00\xff"))
		stock.SendHeader(ctx, metadata.Pairs("A", "2", "user-agent", "reserved", "grpc-status", "9"))
		stock.SetTrailer(ctx, metadata.Pairs("t", "1"))
		stock.SetTrailer(ctx, metadata.Pairs("t", "2", "u-bin", "\x01,\x02"))
		method, _ := stock.Method(ctx)
		return text(fmt.Sprint(map[string][]string(md), method)), nil
	}}, func(ctx context.Context, d *diary, cc *stock.ClientConn) {
		d.call(metadata.AppendToOutgoingContext(ctx, "k", "v1", "k", "v2", "x-bin", "\x00\x01", "x-bin", "\xfe"), cc, 1)
	}, "k:[v1 v2]"},
	{"header after header", &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		first := stock.SendHeader(ctx, metadata.Pairs("a", "1"))
		again := stock.SendHeader(ctx, metadata.Pairs("a", "2"))
		late := stock.SetHeader(ctx, metadata.Pairs("a", "3"))
		return text(fmt.Sprint(first == nil, again == nil, late == nil)), nil
	}}, oneCall, "true false false"},
	{"trailers of an error", &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		stock.SetTrailer(ctx, metadata.Pairs("why", "because"))
		return nil, status.Error(codes.PermissionDenied, "no")
	}}, oneCall, "because"},
	{"header of an error", &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		stock.SetHeader(ctx, metadata.Pairs("why", "because"))
		return nil, status.Error(codes.PermissionDenied, "no")
	}}, oneCall, "because"},
	{"peer and deadline", &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		p, there := peer.FromContext(ctx)
		_, limited := ctx.Deadline()
		host := func(s string) string { return s[:strings.LastIndexByte(s, ':')] }
		return text(fmt.Sprintln(there, p.Addr.Network(), host(p.Addr.String()), host(p.LocalAddr.String()), p.AuthInfo, limited)), nil
	}}, oneCall, "true tcp 127.0.0.1 127.0.0.1"},
	{"not protobuf", answers(text("never"), nil), func(ctx context.Context, d *diary, cc *stock.ClientConn) {
		m := []byte("\xff\xff\xff")
		d.end(cc.Invoke(ctx, testgrpc.TestService_UnaryCall_FullMethodName, &m, &m, stock.ForceCodecV2(raw("proto"))))
	}, "failed to unmarshal"},
	{"unknown codec", answers(text("hello"), nil), func(ctx context.Context, d *diary, cc *stock.ClientConn) {
		m := []byte{}
		err := cc.Invoke(ctx, testgrpc.TestService_UnaryCall_FullMethodName, &m, &m, stock.ForceCodecV2(raw("nobody")))
		d.note("%q", m)
		d.end(err)
	}, "hello"},
	{"no such method", &service{}, func(ctx context.Context, d *diary, cc *stock.ClientConn) {
		for _, path := range []string{"/grpc.testing.TestService/None", "/no.Service/M", "/x"} {
			d.end(cc.Invoke(ctx, path, &testpb.Empty{}, &testpb.Empty{}))
		}
	}, "unknown service no.Service"},
	{"no request", answers(text("never"), nil), requests(0), "received no request message"},
	{"two requests", answers(text("never"), nil), requests(2), "received multiple request messages"},
}

// requests calls the unary method as if it were a stream.
func requests(n int) func(context.Context, *diary, *stock.ClientConn) {
	return func(ctx context.Context, d *diary, cc *stock.ClientConn) {
		desc := &stock.StreamDesc{ClientStreams: true, ServerStreams: true}
		cs, err := cc.NewStream(ctx, desc, testgrpc.TestService_UnaryCall_FullMethodName)
		if err != nil {
			d.end(err)
			return
		}
		for range n {
			cs.SendMsg(&testpb.SimpleRequest{})
		}
		cs.CloseSend()
		d.drain(cs)
	}
}

// bidi is a service with this bidirectional stream.
func bidi(f func(ss testgrpc.TestService_FullDuplexCallServer) error) *service {
	return &service{duplex: f}
}

// echo answers each message with its length.
func echo(ss testgrpc.TestService_FullDuplexCallServer) error {
	for {
		m, err := ss.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := ss.Send(chunk(fmt.Sprint(len(m.Payload.Body)))); err != nil {
			return err
		}
	}
}

var streams = []comparison{
	{"echo", bidi(echo), oneDuplex, `got "2"`},
	{"echo gzip", bidi(echo), func(ctx context.Context, d *diary, cc *stock.ClientConn) {
		d.duplex(ctx, cc, []int{3000, 5, 70000}, stock.UseCompressor("gzip"))
	}, `got "70000"`},
	{"error before the first message", bidi(func(ss testgrpc.TestService_FullDuplexCallServer) error {
		return status.Error(codes.Unauthenticated, "who?")
	}), oneDuplex, "Unauthenticated"},
	{"error after messages", bidi(func(ss testgrpc.TestService_FullDuplexCallServer) error {
		ss.SetHeader(metadata.Pairs("h", "1"))
		ss.Send(chunk("one"))
		ss.SetTrailer(metadata.Pairs("t", "1"))
		return detailed()
	}), oneDuplex, "CLOSED"},
	{"header alone", bidi(func(ss testgrpc.TestService_FullDuplexCallServer) error {
		return ss.SendHeader(metadata.Pairs("h", "1", "content-type", "reserved"))
	}), oneDuplex, "header h"},
	{"method and context", bidi(func(ss testgrpc.TestService_FullDuplexCallServer) error {
		m, there := stock.MethodFromServerStream(ss)
		md, _ := metadata.FromIncomingContext(ss.Context())
		return ss.Send(chunk(fmt.Sprint(m, there, md["content-type"])))
	}), oneDuplex, "FullDuplexCall"},
	{"invalid metadata", bidi(func(ss testgrpc.TestService_FullDuplexCallServer) error {
		key := ss.SetHeader(metadata.MD{"bad key": {"v"}})
		value := ss.SendHeader(metadata.MD{"k": {"\x01"}})
		return ss.Send(chunk(fmt.Sprintln(status.Code(key), status.Code(value))))
	}), oneDuplex, "Internal Internal"},
	{"header set alone", bidi(func(ss testgrpc.TestService_FullDuplexCallServer) error {
		return ss.SetHeader(metadata.Pairs("h", "1"))
	}), oneDuplex, "header h"},
	{"message too large swallowed", bidi(func(ss testgrpc.TestService_FullDuplexCallServer) error {
		_, err := ss.Recv()
		if status.Code(err) != codes.ResourceExhausted {
			return status.Errorf(codes.Unknown, "Recv: %v", err)
		}
		return nil // the status of Recv stands all the same
	}), func(ctx context.Context, d *diary, cc *stock.ClientConn) { d.duplex(ctx, cc, []int{5 << 20}) }, "ResourceExhausted"},
	{"answer too large swallowed", bidi(func(ss testgrpc.TestService_FullDuplexCallServer) error {
		err := ss.Send(chunk(strings.Repeat("x", maxSend)))
		if status.Code(err) != codes.ResourceExhausted {
			return status.Errorf(codes.Unknown, "Send: %v", err)
		}
		return nil
	}), oneDuplex, "trying to send message larger than max"},
	{"nil message", bidi(func(ss testgrpc.TestService_FullDuplexCallServer) error {
		return ss.SendMsg(nil)
	}), oneDuplex, `got ""`},
	{"not a protobuf message", bidi(func(ss testgrpc.TestService_FullDuplexCallServer) error {
		return ss.SendMsg(7)
	}), oneDuplex, "Internal"},
	{"server stream", &service{output: func(req *testpb.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error {
		for i := range 200 {
			if err := ss.Send(chunk(fmt.Sprint(i))); err != nil {
				return err
			}
		}
		return status.Error(codes.OutOfRange, string(req.Payload.Body))
	}}, func(ctx context.Context, d *diary, cc *stock.ClientConn) {
		cs, err := testgrpc.NewTestServiceClient(cc).StreamingOutputCall(ctx,
			&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: []byte("enough")}})
		if err != nil {
			d.end(err)
			return
		}
		d.drain(cs)
	}, "enough"},
	{"client stream answered early", &service{input: func(ss testgrpc.TestService_StreamingInputCallServer) error {
		if _, err := ss.Recv(); err != nil {
			return err
		}
		return ss.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: 42})
	}}, func(ctx context.Context, d *diary, cc *stock.ClientConn) {
		cs, err := testgrpc.NewTestServiceClient(cc).StreamingInputCall(ctx)
		if err != nil {
			d.end(err)
			return
		}
		cs.Send(&testpb.StreamingInputCallRequest{})
		m := new(testpb.StreamingInputCallResponse)
		err = cs.RecvMsg(m)
		d.note("%d", m.AggregatedPayloadSize)
		d.end(err)
	}, "42"},
}

// maxSend is what both servers may send in one message.
const maxSend = 6 << 20

// reworded are messages of the server itself that package stream has other
// words for.
var reworded = strings.NewReplacer(
	"grpc: received message larger than max (5242890 vs. 4194304)", "received message larger than max (4194304)")

// What a client sees is the same whether grpc-go's server answers or ours.
func TestAsStock(t *testing.T) {
	t.Run("goroutine", func(t *testing.T) { compare(t, grpc.Config{}, slices.Concat(unaries, streams)) })
	inline := slices.DeleteFunc(slices.Clone(unaries), func(c comparison) bool {
		return c.name == "no request" || c.name == "two requests" // package stream has words of its own
	})
	t.Run("inline", func(t *testing.T) { compare(t, grpc.Config{Inline: func(string) bool { return true }}, inline) })
}

func compare(t *testing.T, cfg grpc.Config, rows []comparison) {
	cfg.Config = stream.Config{MaxSend: maxSend}
	for _, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			_, _, addr := serve(t, cfg, c.svc.register)
			var ours, theirs diary
			c.drive(within(t), &ours, dial(t, addr))
			c.drive(within(t), &theirs, dial(t, serveStock(t, c.svc.register, stock.MaxSendMsgSize(maxSend))))
			if got, stock := reworded.Replace(ours.String()), reworded.Replace(theirs.String()); got != stock {
				t.Errorf("ours:\n%.2000s\nstock:\n%.2000s", got, stock)
			}
			if !strings.Contains(theirs.String(), c.has) {
				t.Errorf("no %q in:\n%.2000s", c.has, theirs.String())
			}
		})
	}
}

// raw is a client's codec of bytes under another one's name.
type raw string

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (r raw) Name() string { return string(r) }
