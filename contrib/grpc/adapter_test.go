package grpc_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/mem"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/internal/certs"
	"github.com/weir-go/weir/netconn"
)

// An unmodified server of grpc-go, and its client, on the reactor.
func ExampleListen() {
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	ln, err := grpc.Listen(rt, conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		log.Fatal(err)
	}
	srv := stock.NewServer()
	testgrpc.RegisterTestServiceServer(srv, &clock{})
	go srv.Serve(ln)
	defer srv.Stop()

	cc, err := stock.NewClient("passthrough:///"+ln.Addr().String(),
		stock.WithTransportCredentials(insecure.NewCredentials()),
		stock.WithContextDialer(grpc.ContextDialer(&netconn.Dialer{Runtime: rt})))
	if err != nil {
		log.Fatal(err)
	}
	defer cc.Close()
	resp, err := testgrpc.NewTestServiceClient(cc).UnaryCall(context.Background(), &testpb.SimpleRequest{})
	fmt.Println(resp.GetUsername(), err)
	// Output: echo <nil>
}

// started starts a runtime for a test.
func started(t testing.TB) *conn.Runtime {
	t.Helper()
	rt, err := conn.Start(conn.Config{Loops: 2})
	ok(t, err)
	t.Cleanup(func() { rt.Close() })
	return rt
}

// stockOn starts grpc-go's server on a listener.
func stockOn(t testing.TB, ln net.Listener, o ...stock.ServerOption) {
	t.Helper()
	srv := stock.NewServer(o...)
	testgrpc.RegisterTestServiceServer(srv, interop.NewTestServer())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Stop()
		ok(t, <-served)
	})
}

// TestAdapterInterop: gRPC's own cases, with grpc-go on both sides and Weir below
// both, plain and with TLS.
func TestAdapterInterop(t *testing.T) {
	cert, pool := certs.Identity()
	for _, wire := range []struct {
		name   string
		server []stock.ServerOption
		client credentials.TransportCredentials
	}{
		{"plain", nil, insecure.NewCredentials()},
		{"TLS", []stock.ServerOption{stock.Creds(credentials.NewServerTLSFromCert(&cert))},
			credentials.NewTLS(&tls.Config{RootCAs: pool, ServerName: certs.Name})},
	} {
		rt := started(t)
		ln, err := grpc.Listen(rt, conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")))
		ok(t, err)
		stockOn(t, ln, wire.server...)
		for _, c := range cases {
			t.Run(wire.name+" "+c.name, func(t *testing.T) {
				cc, err := stock.NewClient("passthrough:///"+ln.Addr().String(), stock.WithTransportCredentials(wire.client),
					stock.WithContextDialer(grpc.ContextDialer(&netconn.Dialer{Runtime: rt})))
				ok(t, err)
				defer cc.Close()
				c.run(within(t), testgrpc.NewTestServiceClient(cc), cc)
			})
		}
	}
}

// TestReadOnReady is what grpc-go relies on: the pool's own pointer when there
// are bytes, and nothing that is still out after an error.
func TestReadOnReady(t *testing.T) {
	rt := started(t)
	ln, err := grpc.Listen(rt, conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")))
	ok(t, err)
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	ok(t, err)
	defer peer.Close()
	nc, err := ln.Accept()
	ok(t, err)
	defer nc.Close()
	c := nc.(*grpc.Conn)

	var pool countingPool
	type result struct {
		buffer *[]byte
		n      int
		err    error
	}
	ready := make(chan result)
	read := func() { b, n, err := c.ReadOnReady(100, &pool); ready <- result{b, n, err} }
	go read()
	_, err = io.WriteString(peer, "hello")
	ok(t, err)
	r := <-ready
	ok(t, r.err)
	want(t, string((*r.buffer)[:r.n]), "hello")
	want(t, r.buffer, pool.last)
	pool.Put(r.buffer)
	want(t, pool.out, 0)

	pool = countingPool{}
	ok(t, c.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	go read()
	r = <-ready
	if r.buffer != nil || r.n != 0 || !errors.Is(r.err, os.ErrDeadlineExceeded) {
		t.Errorf("%v after the deadline", r)
	}
	ok(t, c.SetReadDeadline(time.Time{}))
	want(t, pool.last, nil) // no buffer for the time that it waited

	ok(t, peer.Close())
	go read()
	r = <-ready
	if r.buffer != nil || r.err != io.EOF {
		t.Errorf("%v at the end", r)
	}
	want(t, pool.out, 0)
}

// countingPool is a mem.BufferPool that knows what is out.
type countingPool struct {
	out  int
	last *[]byte
}

func (p *countingPool) Get(n int) *[]byte {
	b := make([]byte, n)
	p.out++
	p.last = &b
	return &b
}

func (p *countingPool) Put(*[]byte) { p.out-- }

// TestAdapterTaken: grpc-go finds ReadOnReady, and so has no read buffer of its
// own. What it reads otherwise is the preface of HTTP/2.
func TestAdapterTaken(t *testing.T) {
	l, err := grpc.Listen(started(t), conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")))
	ok(t, err)
	w := watchedListener{l, make(chan *watched, 1)}
	stockOn(t, w)
	peer, err := net.Dial("tcp", l.Addr().String())
	ok(t, err)
	hello(t, peer)
	ok(t, peer.Close())
	c := <-w.accepted
	<-c.closed
	want(t, c.most.Load(), int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))
	if c.ready.Load() == 0 {
		t.Error("ReadOnReady was never called")
	}
}

// watched is a Conn that knows how it is read.
type watched struct {
	*grpc.Conn
	most, ready atomic.Int64 // the longest plain read, and how often the other way
	once        sync.Once
	closed      chan struct{}
}

func (c *watched) Read(p []byte) (int, error) {
	c.most.Store(max(c.most.Load(), int64(len(p))))
	return c.Conn.Read(p)
}

func (c *watched) ReadOnReady(n int, pool mem.BufferPool) (*[]byte, int, error) {
	c.ready.Add(1)
	return c.Conn.ReadOnReady(n, pool)
}

func (c *watched) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

type watchedListener struct {
	*grpc.Listener
	accepted chan *watched
}

func (l watchedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	w := &watched{Conn: c.(*grpc.Conn), closed: make(chan struct{})}
	l.accepted <- w
	return w, nil
}

// hello says what a client of HTTP/2 says first, and waits until the server has
// said the same and acknowledged it.
func hello(t testing.TB, c net.Conn) {
	t.Helper()
	ok(t, c.SetDeadline(time.Now().Add(patience)))
	_, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	ok(t, err)
	head := make([]byte, 9)
	for acked := false; !acked; {
		_, err := io.ReadFull(c, head)
		ok(t, err)
		_, err = io.CopyN(io.Discard, c, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
		ok(t, err)
		acked = head[3] == 4 && head[4] == 1
	}
}

// BenchmarkAdapterIdle is what a connection costs grpc-go's server that has said
// hello in HTTP/2, in bytes of heap and stacks; the kernel's sockets are not
// counted. Each costs on the adapter what it costs on package net, and 32 KiB
// more without it, for a read buffer:
//
//	go test -run ^$ -bench AdapterIdle -benchtime 200x
func BenchmarkAdapterIdle(b *testing.B) {
	std, err := net.Listen("tcp", "127.0.0.1:0")
	ok(b, err)
	listen := func() *netconn.Listener {
		l, err := netconn.Listen(started(b), conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")))
		ok(b, err)
		return l
	}
	for _, on := range []struct {
		name string
		ln   net.Listener
	}{{"net", std}, {"adapter", &grpc.Listener{Listener: listen()}}, {"netconn", listen()}} {
		stockOn(b, on.ln)
		b.Run(on.name, func(b *testing.B) {
			clients := make([]net.Conn, b.N)
			before := used()
			for i := range clients {
				var err error
				clients[i], err = net.Dial("tcp", on.ln.Addr().String())
				ok(b, err)
				defer clients[i].Close()
				hello(b, clients[i])
			}
			b.ReportMetric(float64(int64(used()-before))/float64(b.N), "B/conn")
		})
	}
}

// used returns the bytes of heap and stacks that are in use.
func used() uint64 {
	runtime.GC()
	runtime.GC() // what pools held goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
