package interop

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/stream"
)

// raw is a codec of grpc-go whose messages are *[]byte.
type raw struct{}

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (raw) Name() string { return "raw" }

var _ encoding.CodecV2 = raw{}

// streamServer starts a server of package stream; setup registers its methods.
// At the end of the test nothing of it may be left.
func streamServer(t testing.TB, cfg stream.Config, setup func(s *stream.Server)) (srv *stream.Server, addr string) {
	t.Helper()
	rt, err := conn.Start(conn.Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	cfg.PanicReport = func(method string, v any, stack []byte) { t.Errorf("%s: panic: %v\n%s", method, v, stack) }
	srv = stream.NewServer(cfg)
	setup(srv)
	ln, err := rt.Listen(mustAddr(t, "127.0.0.1:0"), srv.Serve)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		srv.Close()
		rt.Close()
		s := srv.Stats()
		if s.Sessions != 0 || s.Streams != 0 {
			t.Errorf("at the end: %d sessions, %d streams", s.Sessions, s.Streams)
		}
		// A method may be about to find that its stream has ended.
		await.Until(t, "nothing is held", func() bool { return srv.Stats().Held == 0 })
		if b := rt.Stats().BudgetUsed; b != 0 {
			t.Errorf("at the end: %d bytes of the runtime's budget", b)
		}
	})
	return srv, ln.Addr().String()
}

func mustAddr(t testing.TB, s string) conn.Addr {
	t.Helper()
	a, err := conn.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// grpcClient connects grpc-go's client.
func grpcClient(t testing.TB, addr string, o ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	o = append(o, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{})))
	cc, err := grpc.NewClient("passthrough:///"+addr, o...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

// bidi describes a stream of both sides to grpc-go.
var bidi = &grpc.StreamDesc{StreamName: "Bidi", ServerStreams: true, ClientStreams: true}

func open(t testing.TB, ctx context.Context, cc *grpc.ClientConn, method string, o ...grpc.CallOption) grpc.ClientStream {
	t.Helper()
	cs, err := cc.NewStream(ctx, bidi, method, o...)
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func unary(ctx context.Context, cc *grpc.ClientConn, method string, in []byte, o ...grpc.CallOption) ([]byte, error) {
	var out []byte
	err := cc.Invoke(ctx, method, &in, &out, o...)
	return out, err
}

func sendRaw(cs grpc.ClientStream, m []byte) error { return cs.SendMsg(&m) }

func recvRaw(cs grpc.ClientStream) (m []byte, err error) {
	err = cs.RecvMsg(&m)
	return m, err
}

// echoer echoes by callbacks.
type echoer struct {
	full [][]byte // not taken yet
	half bool     // the client sends no more
}

func (e *echoer) Message(st *stream.Stream, m []byte) error {
	if len(e.full) > 0 {
		e.full = append(e.full, append([]byte(nil), m...))
		return nil
	}
	if err := st.Emit(m); err == stream.ErrFull {
		e.full = append(e.full, append([]byte(nil), m...))
		st.Pause()
	} else if err != nil {
		return err
	}
	return nil
}

func (e *echoer) Drained(st *stream.Stream) {
	for len(e.full) > 0 && st.Emit(e.full[0]) == nil {
		e.full = e.full[1:]
	}
	if len(e.full) > 0 {
		return
	}
	st.Resume()
	if e.half {
		st.Finish(nil)
	}
}

func (e *echoer) HalfClosed(st *stream.Stream) error {
	if e.half = true; len(e.full) == 0 {
		st.Finish(nil)
	}
	return nil
}

func (e *echoer) Closed(*stream.Stream, error) {}

// echoGo echoes by a goroutine.
func echoGo(st *stream.Stream) error {
	for {
		m, err := st.Recv()
		if err != nil {
			return endOf(err)
		}
		b := stream.NewBuffer(len(m))
		copy(b.Bytes(), m)
		if err := st.SendWait(b); err != nil {
			return err
		}
	}
}

// echoes registers the echo in its three forms.
func echoes(s *stream.Server) {
	s.Handle("/echo.Echo/Unary", stream.Method{Unary: func(_ *stream.Stream, m []byte) ([]byte, error) { return m, nil }})
	s.Handle("/echo.Echo/Open", stream.Method{Open: func(*stream.Stream) (stream.Handler, error) { return &echoer{}, nil }})
	s.Handle("/echo.Echo/Go", stream.Method{Go: echoGo})
	s.Handle("/echo.Echo/Await", stream.Method{Go: echoGo, Await: true})
}
