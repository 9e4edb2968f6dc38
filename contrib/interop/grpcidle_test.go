package interop_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"

	weirgrpc "github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/netconn"
)

// ready is contrib/grpc's connection, and counts the reads that grpc-go makes by
// it and the buffers that are lent to them.
type ready struct {
	*weirgrpc.Conn
	reads, out *atomic.Int32
}

func (c ready) ReadOnReady(size int, pool mem.BufferPool) (*[]byte, int, error) {
	c.reads.Add(1)
	p, n, err := c.Conn.ReadOnReady(size, lender{pool, c.out})
	if err == nil {
		c.out.Add(-1) // grpc-go's from here
	}
	return p, n, err
}

// lender counts the buffers of a pool that are out.
type lender struct {
	mem.BufferPool
	out *atomic.Int32
}

func (l lender) Get(n int) *[]byte { l.out.Add(1); return l.BufferPool.Get(n) }
func (l lender) Put(p *[]byte)     { l.out.Add(-1); l.BufferPool.Put(p) }

// readyListener hands out ready connections.
type readyListener struct {
	*weirgrpc.Listener
	reads, out *atomic.Int32
}

func (l readyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return ready{c.(*weirgrpc.Conn), l.reads, l.out}, nil
}

// TestGRPCIdleHoldsNoBuffer: idle connections of grpc-go on contrib/grpc's
// adapter own no read buffer, on neither side.
func TestGRPCIdleHoldsNoBuffer(t *testing.T) {
	rt := start(t)
	l, err := weir.listen(rt)
	ok(t, err)
	var reads, out [2]atomic.Int32 // server, client
	s := serve(t, readyListener{&weirgrpc.Listener{Listener: l.(*netconn.Listener)}, &reads[0], &out[0]})
	dial := weirgrpc.ContextDialer(&netconn.Dialer{Runtime: rt})
	c := connect(t, s.addr, func(ctx context.Context, _, address string) (net.Conn, error) {
		c, err := dial(ctx, address)
		if err != nil {
			return nil, err
		}
		return ready{c.(*weirgrpc.Conn), &reads[1], &out[1]}, nil
	})
	for range 3 {
		parallel(t, 10, func(int) error { return pingPong(within(t), c, 5) })
	}
	for side := range reads {
		if reads[side].Load() == 0 {
			t.Errorf("side %d: grpc-go did not use ReadOnReady", side)
		}
		until(t, "no buffer is out while both are idle", func() bool { return out[side].Load() == 0 })
	}
}

// TestGRPCKeepalive: pings are answered on an idle connection, and a peer that
// does not answer them is dropped.
func TestGRPCKeepalive(t *testing.T) {
	rt := start(t)
	pinging := func(timeout time.Duration) *served {
		l, err := weir.listen(rt)
		ok(t, err)
		return serve(t, l, grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Second, Timeout: timeout}))
	}
	// A client that answers may take as long as a busy machine has it take.
	alive := connect(t, pinging(patience).addr, weir.dial(rt))
	ok(t, pingPong(within(t), alive, 1))
	s := pinging(time.Second)

	// A client that says hello in HTTP/2 and nothing else.
	d := &netconn.Dialer{Runtime: rt}
	c, err := d.DialContext(within(t), "tcp", s.addr)
	ok(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	ok(t, err)
	ok(t, c.SetReadDeadline(time.Now().Add(patience)))
	heard, err := io.ReadAll(c)
	ok(t, err) // it ends by the server's Close, not by our deadline
	const ping = 0x06
	if !bytes.Contains(heard, []byte{0, 0, 8, ping, 0, 0, 0, 0, 0}) {
		t.Errorf("closed without a ping: %x", heard)
	}
	// The other was pinged as long and is still there.
	accepted := rt.Stats().Accepted
	ok(t, pingPong(within(t), alive, 1))
	want(t, rt.Stats().Accepted, accepted)
}

// TestGRPCManyIdle: connections that say nothing for a while still work.
func TestGRPCManyIdle(t *testing.T) {
	rt := start(t)
	l, err := weir.listen(rt)
	ok(t, err)
	s := serve(t, l)
	const n = 50
	var talks []func() error
	for range n {
		c := connect(t, s.addr, weir.dial(rt))
		talks = append(talks, func() error { return pingPong(within(t), c, 3) })
	}
	for range 3 {
		parallel(t, n, func(i int) error {
			if err := talks[i](); err != nil {
				return fmt.Errorf("connection %d: %w", i, err)
			}
			return nil
		})
	}
	want(t, rt.Stats().Accepted, uint64(n))
}
