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
	"testing"
	"time"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"

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

	ok(t, c.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	go read()
	r = <-ready
	if r.buffer != nil || r.n != 0 || !errors.Is(r.err, os.ErrDeadlineExceeded) {
		t.Errorf("%v after the deadline", r)
	}
	ok(t, c.SetReadDeadline(time.Time{}))
	want(t, pool.out, 0)

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

// TestAdapterIdleMemory: an idle connection of grpc-go's server costs on the
// adapter what it costs on package net, and 32 KiB more without it, for a read
// buffer. Sockets of the kernel are not counted.
func TestAdapterIdleMemory(t *testing.T) {
	listen := func(adapt bool) net.Listener {
		l, err := netconn.Listen(started(t), conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")))
		ok(t, err)
		if adapt {
			return &grpc.Listener{Listener: l}
		}
		return l
	}
	std, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	onNet, onAdapter, onNetconn := idle(t, std), idle(t, listen(true)), idle(t, listen(false))
	t.Logf("bytes of heap and stacks for each idle connection: %d on package net, %d on the adapter, %d on netconn as it is",
		onNet, onAdapter, onNetconn)
	if onNetconn < onAdapter+24<<10 {
		t.Errorf("the adapter saves %d bytes, want a buffer of 32 KiB", onNetconn-onAdapter)
	}
	if onAdapter > onNet+4<<10 {
		t.Errorf("the adapter costs %d bytes more than package net", onAdapter-onNet)
	}
}

// idle returns what a connection costs grpc-go's server that has said hello in
// HTTP/2. The clients are the same each time: sockets, and nothing else.
func idle(t *testing.T, ln net.Listener) int {
	const n = 200
	stockOn(t, ln)
	hello := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	clients := make([]net.Conn, n)
	before := used()
	for i := range clients {
		c, err := net.Dial("tcp", ln.Addr().String())
		ok(t, err)
		defer c.Close()
		ok(t, c.SetDeadline(time.Now().Add(patience)))
		_, err = io.WriteString(c, hello)
		ok(t, err)
		clients[i] = c
	}
	for _, c := range clients { // each has the server's SETTINGS, and its answer to ours
		head := make([]byte, 9)
		for acked := false; !acked; {
			_, err := io.ReadFull(c, head)
			ok(t, err)
			_, err = io.CopyN(io.Discard, c, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
			ok(t, err)
			acked = head[3] == 4 && head[4] == 1
		}
	}
	return int(used()-before) / n
}

// used returns the bytes of heap and stacks that are in use.
func used() uint64 {
	runtime.GC()
	runtime.GC() // what pools held goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
