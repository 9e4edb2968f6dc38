package grpc_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	stock "google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/stream"
)

// What Config.Methods says of nobody, and twins that cannot stand in, are named.
func TestCheck(t *testing.T) {
	const (
		core       = "/weir.test.Core/Unary"
		benchUnary = testgrpc.BenchmarkService_UnaryCall_FullMethodName
		benchFrom  = testgrpc.BenchmarkService_StreamingFromServer_FullMethodName
		benchBoth  = testgrpc.BenchmarkService_StreamingCall_FullMethodName
	)
	type methods = map[string]grpc.MethodOptions
	for _, c := range []struct {
		name    string
		methods methods
		unknown bool
		named   []string // what the error says; none: there is no error
	}{
		{"none", nil, false, nil},
		{"all is well", methods{duplexName: {Vital: true}, benchFrom: {Twin: benchUnary}, benchBoth: {Twin: benchUnary}}, false, nil},
		{"a twin that protobuf does not know", methods{outputName: {Twin: twinName}}, false, nil},
		{"a twin by callbacks", methods{outputName: {Twin: core}}, false, nil},
		{"a twin that Unknown may serve", methods{outputName: {Twin: "/some.Other/Method"}}, true, nil},

		{"mistyped", methods{"/grpc.testing.TestService/FullDuplexcall": {Vital: true}}, false, []string{"no method", "FullDuplexcall"}},
		{"without a slash", methods{"grpc.testing.TestService/FullDuplexCall": {}}, true, []string{`"grpc.testing.TestService/FullDuplexCall"`}},
		{"two", methods{"/a/B": {}, "/c/D": {}, duplexName: {}}, false, []string{`"/a/B"`, `"/c/D"`}},
		{"by callbacks", methods{core: {Vital: true}}, false, []string{core, "Handle"}},
		{"a twin that is not there", methods{outputName: {Twin: "/grpc.testing.TestService/Unary"}}, false, []string{`"/grpc.testing.TestService/Unary"`, outputName}},
		{"a twin that is a stream", methods{outputName: {Twin: duplexName}}, false, []string{duplexName, "not unary"}},
		{"a twin of a call", methods{unaryName: {Twin: benchUnary}}, false, []string{unaryName, "one answer"}},
		{"a twin of an upload", methods{inputName: {Twin: twinName}}, false, []string{inputName, "one answer"}},
		{"another request", methods{outputName: {Twin: unaryName}}, false, []string{unaryName, "field 2", "StreamingOutputCallRequest.response_parameters"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := grpc.Config{Methods: c.methods}
			if c.unknown {
				cfg.Unknown = func(any, stock.ServerStream) error { return nil }
			}
			srv := grpc.NewServer(cfg)
			defer srv.Close()
			echoing().register(srv)
			testgrpc.RegisterBenchmarkServiceServer(srv, prices{})
			ok(t, srv.Handle(core, stream.Method{Unary: func(*stream.Stream, []byte) ([]byte, error) { return nil, nil }}))
			err := srv.Check()
			if errors.Is(err, grpc.ErrConfig) != (c.named != nil) || (err != nil) != (c.named != nil) {
				t.Fatalf("Check says %v", err)
			}
			for _, name := range c.named {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("%q does not say %q", err, name)
				}
			}
		})
	}
}

// Who never calls Check has a server that serves nobody, and the reason where
// causes of ends are.
func TestServeChecks(t *testing.T) {
	for name, how := range map[string]func(*grpc.Server) conn.Serve{
		"plain": func(s *grpc.Server) conn.Serve { return s.Serve },
		"TLS":   func(s *grpc.Server) conn.Serve { return s.ServeTLS(&tls.Config{}) },
	} {
		t.Run(name, func(t *testing.T) {
			causes := make(chan error, 1)
			rt, err := conn.Start(conn.Config{Loops: 1, Trace: &conn.Trace{Closed: func(_ *conn.Conn, err error) { causes <- err }}})
			ok(t, err)
			defer rt.Close()
			srv := grpc.NewServer(grpc.Config{Methods: map[string]grpc.MethodOptions{"/no/Such": {Vital: true}}})
			defer srv.Close()
			echoing().register(srv)
			addr, err := conn.ParseAddr("127.0.0.1:0")
			ok(t, err)
			ln, err := rt.Listen(addr, how(srv))
			ok(t, err)
			for range 2 {
				nc, err := net.Dial("tcp", ln.Addr().String())
				ok(t, err)
				defer nc.Close()
				ok(t, nc.SetReadDeadline(time.Now().Add(patience)))
				if n, err := io.Copy(io.Discard, nc); n != 0 || errors.Is(err, net.ErrClosed) {
					t.Errorf("%d bytes, %v", n, err)
				}
				select {
				case err := <-causes:
					if !errors.Is(err, grpc.ErrConfig) || !strings.Contains(err.Error(), "/no/Such") {
						t.Errorf("closed for %v", err)
					}
				case <-time.After(patience):
					t.Fatal("not closed")
				}
			}
		})
	}
}

// Handle's methods are served next to generated ones, and know each other.
func TestHandle(t *testing.T) {
	_, _, addr := listen(t, grpc.Config{}, echoing().register, func(s *grpc.Server) conn.Serve {
		echo := stream.Method{Unary: func(_ *stream.Stream, req []byte) ([]byte, error) { return req, nil }}
		ok(t, s.Handle("/weir.test.Core/Echo", echo))
		if err := s.Handle(unaryName, echo); !errors.Is(err, stream.ErrDuplicate) {
			t.Errorf("twice: %v", err)
		}
		return s.Serve
	})
	got := new(testpb.SimpleResponse)
	ok(t, dial(t, addr).Invoke(within(t), "/weir.test.Core/Echo", text("hello"), got))
	want(t, string(got.Payload.Body), "hello")
}
