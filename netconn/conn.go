package netconn

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weir-go/weir/conn"
)

// Conn is a stream connection, TCP or Unix, as a net.Conn. All its methods may
// be called from any goroutine, but not from a callback on a loop: they wait.
// One reader and one writer at a time are let through, others queue.
//
// It holds nothing but the conn.Blocking it stands on, so two of the same
// Blocking are the same connection.
type Conn struct {
	b *conn.Blocking

	// were is where the ends of the connection were, kept by Close: nobody can
	// ask the kernel afterwards. While it is open they are asked for each time,
	// so that a connection which is only served does not carry them.
	were atomic.Pointer[ends]
}

// ends are the addresses of a connection.
type ends struct{ local, remote conn.Addr }

var (
	_ net.Conn      = (*Conn)(nil)
	_ syscall.Conn  = (*Conn)(nil)
	_ io.ReaderFrom = (*Conn)(nil)
	_ io.WriterTo   = (*Conn)(nil)
)

// FromBlocking returns b as a net.Conn. b stays usable and is the same
// connection; closing one closes both.
func FromBlocking(b *conn.Blocking) *Conn { return &Conn{b: b} }

// Blocking returns what c stands on: Unread gives bytes back, Conn tells the
// ID and the loop.
func (c *Conn) Blocking() *conn.Blocking { return c.b }

// Read reads up to len(p) bytes, waiting for at least one. At the end of the
// peer's stream it returns 0, io.EOF.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.b.Read(p)
	return n, c.fail("read", err)
}

// WaitRead waits until a Read would not block: bytes are there, or the stream
// has ended. A server with many idle connections takes a buffer after it and
// gives the buffer back before the next, so that a connection that says nothing
// owns none.
func (c *Conn) WaitRead() error {
	return c.fail("read", c.b.WaitRead())
}

// ReadPooled is WaitRead and Read in one, a system call cheaper: it reads into
// a buffer that it takes from pool when bytes are there. The caller gives the
// buffer back with pool.Put; with an error there is none.
func (c *Conn) ReadPooled(pool conn.Buffers) ([]byte, error) {
	p, err := c.b.ReadPooled(pool)
	return p, c.fail("read", err)
}

// Write writes all of p, waiting while the kernel's buffer is full. It returns
// how much the kernel took; less than len(p) only with an error. p is the
// caller's again afterwards.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.b.Write(p)
	return n, c.fail("write", err)
}

// Writev writes all of bufs in order, many in one system call. (net.Buffers
// gathers only on package net's own types; with a Conn it writes one by one.)
// The slices are the caller's again afterwards and are not changed.
func (c *Conn) Writev(bufs [][]byte) (int64, error) {
	n, err := c.b.Writev(bufs)
	return n, c.fail("write", err)
}

// Close closes the connection at once and wakes every call in flight. What Write
// took is still sent, see SetLinger; but as with package net, a TCP peer that
// has sent bytes which were not read, or still sends, is answered with a reset
// that may overtake it. Who must be heard calls CloseWrite, reads to the end
// under a deadline, and then closes, as net/http does.
func (c *Conn) Close() error {
	c.remember()
	return c.fail("close", c.b.Close())
}

// CloseRead ends the reading half: a Read returns io.EOF.
func (c *Conn) CloseRead() error { return c.fail("close", c.b.CloseRead()) }

// CloseWrite ends the writing half: the peer reads io.EOF and may go on
// writing.
func (c *Conn) CloseWrite() error { return c.fail("close", c.b.CloseWrite()) }

// Abort closes the connection with a reset: the peer gets an error where
// after Close it would get io.EOF.
func (c *Conn) Abort() error {
	c.remember()
	return c.fail("close", c.b.Abort())
}

// SetDeadline sets both deadlines. One in the past wakes calls in flight; the
// zero time removes it. A call that runs into its deadline returns an error
// that is os.ErrDeadlineExceeded; afterwards the connection is as it was.
func (c *Conn) SetDeadline(t time.Time) error { return c.failHere("set", c.b.SetDeadline(t)) }

// SetReadDeadline is SetDeadline for Read and WaitRead.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.failHere("set", c.b.SetReadDeadline(t)) }

// SetWriteDeadline is SetDeadline for Write. A Write that runs into it may have
// written a part, which its count tells.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.failHere("set", c.b.SetWriteDeadline(t)) }

// Callback moves the connection to the callback face: from now on h is called
// on the loop, first with the bytes that were given back with Unread, if any.
// No other call may be in flight (conn.ErrBusy). c is of no use afterwards.
func (c *Conn) Callback(h conn.Handler) error { return c.b.Callback(h) }

// LocalAddr returns a new *net.TCPAddr or *net.UnixAddr. What the runtime has
// closed (an idle connection, say) does not know its own any more, only its
// network.
func (c *Conn) LocalAddr() net.Addr {
	at := c.ends()
	return netAddr(at.local, at.isTCP())
}

// RemoteAddr returns a new *net.TCPAddr or *net.UnixAddr.
func (c *Conn) RemoteAddr() net.Addr {
	at := c.ends()
	return netAddr(at.remote, at.isTCP())
}

func (c *Conn) ends() ends {
	if at := c.were.Load(); at != nil {
		return *at
	}
	return ends{c.b.Local(), c.b.Remote()}
}

// isTCP: one end of a TCP connection is always known, none of a Unix one is.
func (at ends) isTCP() bool { return at.local.IP.IsValid() || at.remote.IP.IsValid() }

// remember keeps the addresses for after Close; the first call knows best.
func (c *Conn) remember() {
	if c.were.Load() != nil {
		return
	}
	if at := c.ends(); at != (ends{}) {
		c.were.CompareAndSwap(nil, &at)
	}
}
