package grpc_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/internal/certs"
	"github.com/weir-go/weir/stream"
)

func serveTLS(t testing.TB, cfg grpc.Config, register func(stock.ServiceRegistrar)) (*grpc.Server, *conn.Runtime, string) {
	cert, _ := certs.Identity()
	return listen(t, cfg, register, func(srv *grpc.Server) conn.Serve {
		return srv.ServeTLS(&tls.Config{Certificates: []tls.Certificate{cert}})
	})
}

func dialTLS(t testing.TB, addr string, version uint16, o ...stock.DialOption) *stock.ClientConn {
	_, pool := certs.Identity()
	cfg := &tls.Config{RootCAs: pool, ServerName: certs.Name, MaxVersion: version}
	cc, err := stock.NewClient("passthrough:///"+addr, append(o, stock.WithTransportCredentials(credentials.NewTLS(cfg)))...)
	ok(t, err)
	t.Cleanup(func() { cc.Close() })
	return cc
}

// The gRPC project's cases over TLS, of both versions.
func TestInteropTLS(t *testing.T) {
	_, _, addr := serveTLS(t, grpc.Config{}, func(r stock.ServiceRegistrar) {
		testgrpc.RegisterTestServiceServer(r, interop.NewTestServer())
	})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, c := range cases {
			t.Run(tls.VersionName(version)+" "+c.name, func(t *testing.T) {
				cc := dialTLS(t, addr, version)
				c.run(within(t), testgrpc.NewTestServiceClient(cc), cc)
			})
		}
	}
}

// gated is a connection that reads nothing as long as its gate is closed.
type gated struct {
	net.Conn
	gate *sync.RWMutex
}

func (g gated) Read(p []byte) (int, error) {
	g.gate.RLock()
	g.gate.RUnlock()
	return g.Conn.Read(p)
}

// More than all buffers hold goes to a client that stops reading its socket, in
// the middle of records; all of it comes when it reads again. Others are served
// meanwhile, and handlers see the TLS state.
func TestLoadTLS(t *testing.T) {
	const messages, size = 200, 50_000
	svc := &service{
		output: func(_ *testpb.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error {
			for i := range messages {
				if err := ss.Send(chunk(fmt.Sprintf("%0*d", size, i))); err != nil {
					return err
				}
			}
			return nil
		},
		duplex: echo,
		unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			p, _ := peer.FromContext(ctx)
			info, isTLS := p.AuthInfo.(credentials.TLSInfo)
			return text(fmt.Sprint(isTLS, info.State.NegotiatedProtocol, info.SecurityLevel)), nil
		},
	}
	cfg := grpc.Config{Config: stream.Config{SendLimit: 3 << 19}} // four streams fill them within SessionBudget
	srv, _, addr := serveTLS(t, cfg, svc.register)
	var gate sync.RWMutex
	cc := dialTLS(t, addr, tls.VersionTLS13, stock.WithInitialWindowSize(64<<20), stock.WithInitialConnWindowSize(256<<20),
		stock.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			return gated{c, &gate}, err
		}))
	var d diary
	d.call(within(t), cc, 1)
	if !strings.Contains(d.String(), "trueh2PrivacyAndIntegrity") {
		t.Fatalf("the peer:\n%s", d.String())
	}

	ctx := within(t)
	gate.Lock()
	var late []testgrpc.TestService_StreamingOutputCallClient
	for range 4 {
		late = append(late, watch(ctx, t, cc))
	}
	// The windows are open: what waits does so because the socket is full.
	until(t, "the send queues fill", func() bool { return srv.Core().Stats().Held > 5<<20 })
	var sizes []int
	for i := range 60 {
		sizes = append(sizes, i*1000)
	}
	var back diary
	back.duplex(ctx, dialTLS(t, addr, tls.VersionTLS13), sizes)
	if !strings.Contains(back.String(), `got "59000"`) || !strings.Contains(back.String(), "OK") {
		t.Fatalf("beside the late ones:\n%s", back.String())
	}
	gate.Unlock()
	for _, cs := range late {
		for i := range messages {
			want(t, next(t, cs), fmt.Sprintf("%0*d", size, i))
		}
		_, err := cs.Recv()
		want(t, err, io.EOF)
	}
}

// An open connection with TLS has no goroutine, and a topic reaches it.
func TestIdleTLS(t *testing.T) {
	var topic *stream.Topic
	svc := &service{output: func(_ *testpb.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error {
		return grpc.Subscribe(ss, topic, stream.SubOptions{From: 1})
	}}
	_, rt, addr := serveTLS(t, grpc.Config{}, svc.register)
	topic = stream.NewTopic(rt, stream.TopicConfig{})
	_, err := grpc.Publish(topic, chunk("first"), "")
	ok(t, err)
	var all []testgrpc.TestService_StreamingOutputCallClient
	for range 20 {
		cs := watch(within(t), t, dialTLS(t, addr, tls.VersionTLS13))
		want(t, next(t, cs), "first")
		all = append(all, cs)
	}
	_, err = grpc.Publish(topic, chunk(strings.Repeat("second", 10_000)), "")
	ok(t, err)
	for _, cs := range all {
		want(t, next(t, cs), strings.Repeat("second", 10_000))
	}
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	want(t, strings.Count(string(stacks), "(*Server).handshake"), 0)
}

// halfway is a client's connection that falls silent when the server has
// answered: the handshake is then in its middle.
type halfway struct{ net.Conn }

var errHalfway = errors.New("halfway")

func (h halfway) Read([]byte) (int, error) {
	if _, err := io.ReadFull(h.Conn, make([]byte, 1)); err != nil {
		return 0, err
	}
	return 0, errHalfway
}

// Who does not speak TLS, or not HTTP/2 in it, is sent away; who says nothing
// holds nobody up: Close ends his handshake.
func TestStrangersTLS(t *testing.T) {
	srv, _, addr := serveTLS(t, grpc.Config{}, new(service).register)
	_, pool := certs.Identity()
	reject := func(what string, talk func(c net.Conn) error) {
		t.Helper()
		c, err := net.Dial("tcp", addr)
		ok(t, err)
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		if err := talk(c); err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: still connected", what)
		}
	}
	reject("plain text", func(c net.Conn) error {
		_, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		return err
	})
	reject("HTTP/1.1", func(c net.Conn) error {
		return tls.Client(c, &tls.Config{RootCAs: pool, ServerName: certs.Name, NextProtos: []string{"http/1.1"}}).Handshake()
	})
	reject("no ALPN", func(c net.Conn) error {
		return tls.Client(c, &tls.Config{RootCAs: pool, ServerName: certs.Name}).Handshake()
	})
	want(t, srv.Core().Stats().Sessions, 0)

	silent, err := net.Dial("tcp", addr)
	ok(t, err)
	defer silent.Close()
	silent.SetDeadline(time.Now().Add(patience))
	err = tls.Client(halfway{silent}, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}).Handshake()
	want(t, err, errHalfway)
	ok(t, srv.Close())
	if _, err := io.Copy(io.Discard, silent); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("after Close: %v", err)
	}
	reject("closed", func(net.Conn) error { return nil })
	want(t, srv.Refused(), 1)
}
