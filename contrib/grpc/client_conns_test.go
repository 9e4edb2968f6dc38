package grpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/internal/certs"
	"github.com/weir-go/weir/internal/ports"
	"github.com/weir-go/weir/stream"
)

func TestClientTLS(t *testing.T) {
	s := &service{duplex: talk, unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		return text(strings.Join(md["authorization"], " ")), nil
	}}
	cert, pool := certs.Identity()
	_, _, own := serveTLS(t, grpc.Config{}, s.register)
	for name, addr := range map[string]string{
		"stock": serveStock(t, s.register, stock.Creds(credentials.NewServerTLSFromCert(&cert))),
		"own":   own,
	} {
		t.Run(name, func(t *testing.T) {
			cc := newClient(t, addr, grpc.ClientConfig{TLS: &tls.Config{RootCAs: pool, ServerName: certs.Name}, Credentials: token{}})
			client := testgrpc.NewTestServiceClient(cc)
			var p peer.Peer
			r, err := client.UnaryCall(within(t), &testpb.SimpleRequest{}, stock.Peer(&p))
			ok(t, err)
			want(t, string(r.Payload.Body), "for https://"+addr+"/grpc.testing.TestService /grpc.testing.TestService/UnaryCall")
			if info, is := p.AuthInfo.(credentials.TLSInfo); !is || info.State.NegotiatedProtocol != "h2" {
				t.Errorf("%v", p.AuthInfo)
			}
			ss, err := client.FullDuplexCall(within(t))
			ok(t, err)
			for i := range 50 {
				big := strings.Repeat("x", i*4000)
				ok(t, ss.Send(bodyOf(big)))
				m, err := ss.Recv()
				ok(t, err)
				want(t, len(m.Payload.Body), len(big))
			}
			ok(t, ss.CloseSend())
			if _, err := ss.Recv(); err != io.EOF {
				t.Error(err)
			}
		})
		t.Run(name+", unknown authority", func(t *testing.T) {
			cc := newClient(t, addr, grpc.ClientConfig{TLS: &tls.Config{RootCAs: x509.NewCertPool(), ServerName: certs.Name}})
			_, err := testgrpc.NewTestServiceClient(cc).UnaryCall(within(t), &testpb.SimpleRequest{})
			if s := status.Convert(err); s.Code() != codes.Unavailable || !strings.Contains(s.Message(), "certificate") {
				t.Error(err)
			}
		})
	}
}

// Calls go on while the server retires its connections: none is lost, none is
// done twice.
func TestClientGoAway(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[string]int)
	s := &service{unary: func(_ context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		mu.Lock()
		defer mu.Unlock()
		seen[string(req.Payload.Body)]++
		return text(string(req.Payload.Body)), nil
	}}
	addr := serveStock(t, s.register, stock.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 30 * time.Millisecond, MaxConnectionAgeGrace: time.Minute}))
	cc := newClient(t, addr, grpc.ClientConfig{})
	client := testgrpc.NewTestServiceClient(cc)
	const callers = 8
	var all sync.WaitGroup
	ctx, n := within(t), 0
	for k := range callers {
		all.Go(func() {
			for i := 0; cc.Core().Stats().GoAways < 6; i++ {
				id := fmt.Sprint(k, " ", i)
				r, err := client.UnaryCall(ctx, &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte(id)}})
				if err != nil || string(r.Payload.Body) != id {
					t.Errorf("call %s: %v", id, err)
					return
				}
				mu.Lock()
				n++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for id, times := range seen {
		if times != 1 {
			t.Errorf("call %s was done %d times", id, times)
		}
	}
	want(t, len(seen), n)
	t.Logf("%d calls, %+v", n, cc.Core().Stats())
}

// A connection whose server is silent is found out by its keepalive.
func TestClientKeepalive(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			c.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) // SETTINGS, and nothing after
			accepted <- c
		}
	}()
	cfg := grpc.ClientConfig{}
	cfg.Keepalive = stream.Keepalive{Time: 20 * time.Millisecond, Timeout: 20 * time.Millisecond}
	cc := newClient(t, ln.Addr().String(), cfg)
	_, err = testgrpc.NewTestServiceClient(cc).EmptyCall(within(t), &testpb.Empty{})
	if status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	(<-accepted).Close()
	until(t, "the counter", func() bool { return cc.Core().Stats().Dead == 1 })
}

// A pinging client is told off by grpc-go's server, slows down, and goes on.
func TestClientPingsTooOften(t *testing.T) {
	s := &service{duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error { <-ss.Context().Done(); return nil }}
	addr := serveStock(t, s.register, stock.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Hour}))
	cfg := grpc.ClientConfig{}
	cfg.Keepalive = stream.Keepalive{Time: 10 * time.Millisecond}
	cc := newClient(t, addr, cfg)
	ss, err := testgrpc.NewTestServiceClient(cc).FullDuplexCall(within(t))
	ok(t, err)
	if _, err := ss.Recv(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "too_many_pings") {
		t.Error(err)
	}
	until(t, "GOAWAY", func() bool { return cc.Core().Stats().GoAways == 1 })
}

func TestClientNobodyListens(t *testing.T) {
	addr := ports.Hold(t).String()
	cc := newClient(t, addr, grpc.ClientConfig{})
	client := testgrpc.NewTestServiceClient(cc)
	_, err := client.EmptyCall(within(t), &testpb.Empty{})
	if s := status.Convert(err); s.Code() != codes.Unavailable || !strings.Contains(s.Message(), "refused") {
		t.Error(err)
	}
	// One that may wait finds the server when it comes.
	answered := make(chan error, 1)
	go func() {
		_, err := client.EmptyCall(within(t), &testpb.Empty{}, stock.WaitForReady(true))
		answered <- err
	}()
	until(t, "more than one try", func() bool { return cc.Core().Stats().DialErrors > 2 })
	ln, err := net.Listen("tcp", addr)
	ok(t, err)
	srv := stock.NewServer()
	testgrpc.RegisterTestServiceServer(srv, &emptyService{})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	ok(t, <-answered)
	srv.Stop()
	ok(t, <-served)
}

type emptyService struct {
	testgrpc.UnimplementedTestServiceServer
}

func (*emptyService) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return &testpb.Empty{}, nil
}

func TestClientClosed(t *testing.T) {
	s := &service{duplex: talk}
	cc := newClient(t, serveStock(t, s.register), grpc.ClientConfig{})
	ss, err := testgrpc.NewTestServiceClient(cc).FullDuplexCall(within(t))
	ok(t, err)
	ok(t, cc.Close())
	if _, err := ss.Recv(); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	if _, err := testgrpc.NewTestServiceClient(cc).EmptyCall(within(t), &testpb.Empty{}); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	if err := ss.Send(bodyOf("")); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// A server that accepts and says nothing: the call ends with its context, and
// Close does not wait for the handshake.
func TestClientHandshakeHangs(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := ln.Accept(); err == nil {
			accepted <- c
		}
	}()
	cc := newClient(t, ln.Addr().String(), grpc.ClientConfig{TLS: &tls.Config{}})
	ctx, cancel := context.WithCancel(within(t))
	called := make(chan error, 1)
	go func() {
		_, err := testgrpc.NewTestServiceClient(cc).EmptyCall(ctx, &testpb.Empty{}, stock.WaitForReady(true))
		called <- err
	}()
	c := <-accepted
	defer c.Close()
	cancel()
	want(t, status.Code(<-called), codes.Canceled)
	go func() {
		_, err := testgrpc.NewTestServiceClient(cc).EmptyCall(within(t), &testpb.Empty{}, stock.WaitForReady(true))
		called <- err
	}()
	until(t, "a call that waits", func() bool { return cc.Core().Stats().Waiting == 1 })
	ok(t, cc.Close())
	want(t, status.Code(<-called), codes.Unavailable)
}

// Calls of every kind that are cancelled at any moment: each ends once, and
// nothing is left of it.
func TestClientCancelStorm(t *testing.T) {
	s := &service{duplex: talk, unary: func(_ context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		return text(string(req.Payload.Body)), nil
	}}
	for name, addr := range map[string]string{
		"stock": serveStock(t, s.register),
		"own":   func() string { _, _, a := serve(t, grpc.Config{}, s.register); return a }(),
	} {
		t.Run(name, func(t *testing.T) {
			cc := newClient(t, addr, grpc.ClientConfig{})
			client := testgrpc.NewTestServiceClient(cc)
			var ends atomic.Int64
			var all sync.WaitGroup
			const callers, each = 8, 60
			for k := range callers {
				r := rand.New(rand.NewPCG(uint64(k), 9))
				all.Go(func() {
					for i := range each {
						ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(1500))*time.Microsecond)
						var header, trailer metadata.MD
						told := make(chan error, 2)
						options := []stock.CallOption{stock.Header(&header), stock.Trailer(&trailer), stock.OnFinish(func(err error) { ends.Add(1); told <- err })}
						body := strings.Repeat("x", r.IntN(3000))
						var err error
						if i%2 == 0 {
							_, err = client.UnaryCall(ctx, &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte(body)}}, options...)
						} else {
							var ss testgrpc.TestService_FullDuplexCallClient
							if ss, err = client.FullDuplexCall(ctx, options...); err == nil {
								for err == nil {
									if err = ss.Send(bodyOf(body)); err == nil {
										_, err = ss.Recv()
									}
								}
								if err == io.EOF {
									_, err = ss.Recv()
								}
							}
						}
						if code := status.Code(err); code != codes.OK && code != codes.DeadlineExceeded {
							t.Errorf("%v", err)
						}
						if end := <-told; status.Code(end) != status.Code(err) {
							t.Errorf("it ended with %v, and was told %v", err, end)
						}
						cancel()
					}
				})
			}
			all.Wait()
			want(t, ends.Load(), int64(callers*each))
			until(t, "no call", func() bool { s := cc.Core().Stats(); return s.Calls == 0 && s.Held == 0 })
		})
	}
}
