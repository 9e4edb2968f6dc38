package netconn

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/proxyproto"
)

// queueDefault is how many accepted connections may wait for Accept.
const queueDefault = 1024

// ListenConfig says how a Listener is made. The zero value works.
type ListenConfig struct {
	// ListenConfig's socket options hold for every connection. Its marks, Idle,
	// FirstByte and MinRate are the callback face's: here deadlines take their
	// place, such as http.Server's ReadHeaderTimeout and a TLSListener's Time.
	conn.ListenConfig

	// Proxy, if set, has its header read first, before Farewell too: a connection
	// of a proxy that it trusts is the client's from then on, for the Guard and for
	// RemoteAddr.
	Proxy *proxyproto.Config

	// Queue is how many accepted connections may wait for an Accept. 0: 1024.
	// What comes in while the queue is full is closed at once and counted
	// (Listener.Refused): a server that does not keep up says so, instead of
	// letting its clients wait for an answer that comes too late.
	Queue int

	// Serve, if set, gets the connections first (behind Proxy), on the callback
	// face: to look at their first bytes, say, and then to offer them to this Listener, by the
	// function it is given (see Listener.Offer), or to another one. It may be
	// called before Listen has returned. nil: all are offered at once.
	Serve func(c *conn.Conn, offer func(*conn.Conn) error) conn.Handler
}

// Listener is a net.Listener: its connections are *Conn. All methods may be
// called from any goroutine unless they say otherwise.
//
//	accept(2) on a loop ──► Offer ──► queue (bounded) ──► Accept
type Listener struct {
	socket *conn.Listener // nil: fed by Offer only
	addr   net.Addr
	queue  chan *Conn
	gone   chan struct{}   // closed by Close
	ended  <-chan struct{} // closed when the socket is, by the runtime too

	refused atomic.Uint64
	left    atomic.Bool // by Leave

	// Guarded by mu. Offer puts into the queue under mu, so that Close, which
	// empties it, has seen the last one.
	mu     sync.Mutex
	closed bool

	deadline deadline
}

// Listen opens a listening socket on rt with the zero ListenConfig.
func Listen(rt *conn.Runtime, at conn.Addr) (*Listener, error) {
	return ListenConfig{}.Listen(rt, at)
}

// Listen opens a listening socket on rt. Port 0 lets the kernel choose; Addr
// tells which.
func (lc ListenConfig) Listen(rt *conn.Runtime, at conn.Addr) (*Listener, error) {
	l := lc.listener()
	lc.Farewell = lc.behindProxy(lc.Farewell)
	socket, err := lc.ListenConfig.Listen(rt, at, lc.serve(l))
	if err != nil {
		a := netAddr(at, !at.IsUnix())
		return nil, &net.OpError{Op: "listen", Net: a.Network(), Addr: a, Err: cause(err)}
	}
	l.adopt(socket)
	return l, nil
}

// Adopt is Listen for a socket that listens already, one from conn.ListenFDs.
// fd belongs to the Listener afterwards, also after an error.
func (lc ListenConfig) Adopt(rt *conn.Runtime, fd int) (*Listener, error) {
	return lc.AdoptAll(rt, []int{fd})
}

// AdoptAll is Adopt for the several sockets of a Listener with conn.PerLoop (see
// Dups).
func (lc ListenConfig) AdoptAll(rt *conn.Runtime, fds []int) (*Listener, error) {
	l := lc.listener()
	lc.Farewell = lc.behindProxy(lc.Farewell)
	socket, err := lc.ListenConfig.AdoptAll(rt, fds, lc.serve(l))
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "fd", Err: cause(err)}
	}
	l.adopt(socket)
	return l, nil
}

// NewListener returns a Listener without a socket: it hands out what is given
// to Offer. Several of them behind one port, told apart by their first bytes,
// are several servers on one port. addr is what Addr returns; queue as in
// ListenConfig.
func NewListener(addr net.Addr, queue int) *Listener {
	l := ListenConfig{Queue: queue}.listener()
	l.addr = addr
	return l
}

func (lc ListenConfig) listener() *Listener {
	queue := lc.Queue
	if queue <= 0 {
		queue = queueDefault
	}
	return &Listener{queue: make(chan *Conn, queue), gone: make(chan struct{})}
}

// serve is what the runtime calls for each connection accepted.
func (lc ListenConfig) serve(l *Listener) conn.Serve { return lc.behindProxy(lc.offer(l)) }

// behindProxy has a PROXY header read before next is asked, if there should be one.
func (lc ListenConfig) behindProxy(next conn.Serve) conn.Serve {
	if lc.Proxy == nil || next == nil {
		return next
	}
	return lc.Proxy.Serve(func(c *conn.Conn, _ proxyproto.Header) conn.Handler { return next(c) })
}

// offer is what is called for each connection whose client is known.
func (lc ListenConfig) offer(l *Listener) conn.Serve {
	if lc.Serve != nil {
		offer := l.Offer
		return func(c *conn.Conn) conn.Handler { return lc.Serve(c, offer) }
	}
	return func(c *conn.Conn) conn.Handler {
		// Not taken over: a nil Handler without Block closes it.
		_ = l.Offer(c)
		return nil
	}
}

// adopt completes a Listener with its socket. Connections may have been
// offered before: they touch neither field.
func (l *Listener) adopt(socket *conn.Listener) {
	l.socket = socket
	l.ended = socket.Done()
	l.addr = netAddr(socket.Addr(), !socket.Addr().IsUnix())
}

// Offer moves c to the blocking face and queues it for Accept, with the bytes
// that were not consumed. Loop only: within Serve or a callback of c, which
// then has no say any more. When there is no room (conn.ErrFull) or the
// Listener is closed (conn.ErrClosed), c stays as it was and the caller
// decides; in a callback, returning the error closes it.
func (l *Listener) Offer(c *conn.Conn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return conn.ErrClosed
	}
	// Only Offer puts in, and only under mu: room seen here is room still there
	// below.
	if len(l.queue) == cap(l.queue) {
		l.refused.Add(1)
		return conn.ErrFull
	}
	l.queue <- FromBlocking(c.Block())
	return nil
}

// Accept returns the next connection, a *Conn. After Close, or the runtime's
// Close or Shutdown, its error is net.ErrClosed, after the deadline os.ErrDeadlineExceeded. It returns no
// others: what goes wrong in accept(2), a lack of descriptors say, the runtime
// waits out.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptConn is Accept with the type it has.
func (l *Listener) AcceptConn() (*Conn, error) {
	passed := l.deadline.wait()
	// A deadline in the past and Close win over a connection that is there.
	select {
	case <-l.gone:
		return nil, l.fail("accept", net.ErrClosed)
	case <-passed:
		return nil, l.fail("accept", os.ErrDeadlineExceeded)
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.gone:
		return nil, l.fail("accept", net.ErrClosed)
	case <-passed:
		return nil, l.fail("accept", os.ErrDeadlineExceeded)
	case <-l.ended:
	}
	// The runtime has closed the socket. What had been accepted by then, by a
	// Shutdown that drains, is served.
	select {
	case c := <-l.queue:
		return c, nil
	default:
		return nil, l.fail("accept", net.ErrClosed)
	}
}

// Close stops listening: when it returns the port is free again, Accepts in
// flight have their error, and connections that nobody accepted are closed.
// Those accepted are not touched.
//
// After Leave nobody is to be cut off: it waits until what was on its way has
// come (never call it from a callback then), Accept hands out all of that before
// its error, and what nobody has accepted is closed after 5 s.
func (l *Listener) Close() error {
	if l.left.Load() {
		return l.closeLeft()
	}
	l.mu.Lock()
	again := l.closed
	l.closed = true
	l.mu.Unlock()
	if again {
		return l.fail("close", net.ErrClosed)
	}
	close(l.gone)
	l.deadline.set(time.Time{})
	var err error
	if l.socket != nil {
		err = l.socket.Close()
	}
	l.cutOff()
	return l.fail("close", err)
}

// leftPatience is how long what has come to a listener that has left may wait for
// Accept after Close: a server that ends in order does not stop accepting before.
// A variable for tests, which may be slow.
var leftPatience = 5 * time.Second

// closeLeft is Close after Leave.
func (l *Listener) closeLeft() error {
	l.socket.Drain() // ends Accept when the queue is empty
	l.mu.Lock()
	again := l.closed
	l.closed = true
	l.mu.Unlock()
	if again {
		return l.fail("close", net.ErrClosed)
	}
	l.deadline.set(time.Time{})
	time.AfterFunc(leftPatience, l.cutOff)
	return nil
}

// cutOff closes what nobody has accepted.
func (l *Listener) cutOff() {
	for {
		select {
		case c := <-l.queue:
			c.Close()
		default:
			return
		}
	}
}

// Addr returns the *net.TCPAddr or *net.UnixAddr the Listener is bound to. It
// is the same each time and must not be changed.
func (l *Listener) Addr() net.Addr { return l.addr }

// SetDeadline makes Accept, also one in flight, return an error when t has
// passed. The zero time removes it.
func (l *Listener) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.fail("set", net.ErrClosed)
	}
	l.deadline.set(t)
	return nil
}

// File returns a duplicate of the listening descriptor: to hand it to another
// process that goes on listening when this one has closed.
func (l *Listener) File() (*os.File, error) {
	if l.socket == nil {
		return nil, l.fail("file", os.ErrInvalid)
	}
	fd, err := l.socket.Dup()
	if err != nil {
		return nil, l.fail("file", err)
	}
	return os.NewFile(uintptr(fd), l.addr.Network()+":"+l.addr.String()), nil
}

// Dups returns duplicates of the descriptors that connections are accepted from,
// to hand to another process; they are the caller's. After Close the error is
// conn.ErrClosed as well as net.ErrClosed: package restart knows the former.
func (l *Listener) Dups() ([]int, error) {
	if l.socket == nil {
		return nil, l.fail("dup", os.ErrInvalid)
	}
	fds, err := l.socket.Dups()
	if errors.Is(err, conn.ErrClosed) {
		return nil, fmt.Errorf("%w (%w)", l.fail("dup", err), err)
	}
	return fds, l.fail("dup", err)
}

// Leave stops taking connections because another process, which was given the
// Dups, takes them now. Accept goes on with what has come already, and waits,
// until Close: so a server may be ended in its own way, and this cuts nobody off.
// (net/http's Shutdown does: a connection whose request comes after it has begun is
// closed. SetKeepAlivesEnabled(false) and a moment before it are for those.)
func (l *Listener) Leave() {
	if l.socket != nil {
		l.left.Store(true)
		l.socket.Leave()
	}
}

// Waiting returns how many connections are in the queue now.
func (l *Listener) Waiting() int { return len(l.queue) }

// Refused counts the connections that came while the queue was full.
func (l *Listener) Refused() uint64 { return l.refused.Load() }

func (l *Listener) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: l.addr.Network(), Addr: l.addr, Err: cause(err)}
}
