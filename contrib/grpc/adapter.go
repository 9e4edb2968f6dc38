package grpc

import (
	"context"
	"net"

	"google.golang.org/grpc/mem"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

// Listen opens a listening socket for a server of grpc-go itself, which needs
// not be changed otherwise:
//
//	ln, err := grpc.Listen(rt, addr)
//	srv := stock.NewServer() // google.golang.org/grpc
//	pb.RegisterChatServer(srv, &chat{})
//	srv.Serve(ln)
//
// The server keeps its goroutines, three for a connection and one for a call,
// and all of its options; it waits for its peers on rt's loops instead of package
// net's poller, with rt's limits. It is the step between grpc-go on package net
// and this package's Server, and the one for programs that need what only
// grpc-go's own transport has.
func Listen(rt *conn.Runtime, at conn.Addr) (*Listener, error) {
	l, err := netconn.Listen(rt, at)
	if err != nil {
		return nil, err
	}
	return &Listener{l}, nil
}

// Listener is a netconn.Listener whose connections are *Conn: made by Listen, or
// of a netconn.Listener with a configuration of its own.
type Listener struct{ *netconn.Listener }

// Accept returns the next connection, a *Conn. Errors are netconn.Listener's.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c}, nil
}

// ContextDialer makes connections of d for clients of grpc-go, as
// grpc.WithContextDialer takes it:
//
//	stock.NewClient("passthrough:///"+addr, stock.WithContextDialer(grpc.ContextDialer(d)), ...)
func ContextDialer(d *netconn.Dialer) func(ctx context.Context, address string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		c, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return &Conn{Conn: c.(*netconn.Conn)}, nil
	}
}

// Conn is a netconn.Conn that grpc-go reads from without a buffer while nothing
// has come. grpc-go (1.81 and later) looks for ReadOnReady on whatever a
// listener or dialer returns, and otherwise knows package net's own types only:
// any other connection has a buffer of ServerOption ReadBufferSize, 32 KiB, for
// as long as it lives.
//
//	grpc-go's reader      Conn                     the loop
//	      │ ReadOnReady ──► ReadPooled ──► waits ◄── readable
//	      │                     └─ Get, read(2)
//	      ◄─ buffer, n ─────────┘
//
// Under TLS grpc-go reads from crypto/tls, which keeps a buffer of its own, and
// does not find ReadOnReady.
type Conn struct {
	*netconn.Conn
	lent borrowed // of the one read that there is at a time
}

// ReadOnReady waits for bytes, takes a buffer of at most size bytes from pool,
// and reads into it. The buffer is the caller's, to be given back to pool; with
// an error there is none. One goroutine at a time, as with any reader.
func (c *Conn) ReadOnReady(size int, pool mem.BufferPool) (buffer *[]byte, n int, err error) {
	c.lent = borrowed{size: size, pool: pool}
	p, err := c.ReadPooled(&c.lent)
	buffer = c.lent.buffer
	c.lent = borrowed{}
	if err != nil {
		return nil, 0, err
	}
	return buffer, len(p), nil
}

// borrowed is a mem.BufferPool as a conn.Buffers, for one read: grpc-go wants
// the pointer back that its pool has lent.
type borrowed struct {
	size   int
	pool   mem.BufferPool
	buffer *[]byte
}

func (b *borrowed) Get() []byte { b.buffer = b.pool.Get(b.size); return *b.buffer }
func (b *borrowed) Put([]byte)  { b.pool.Put(b.buffer); b.buffer = nil }
