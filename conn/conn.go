package conn

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/internal/buf"
	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/poller"
	"github.com/weir-go/weir/timer"
)

// Conn is one connected socket on its loop. Methods marked "loop only" belong
// to the connection's callbacks and to functions given to Post; the others may
// be called from any goroutine.
//
// The life of a connection:
//
//	         Serve                       Close: flush, linger
//	(fd) ──► open ──────────────────────► closing ──► gone (Closed)
//	          │  error, panic, Abort, RST              ▲
//	          ├────────────────────────────────────────┤
//	          │  Block            Blocking.Close       │
//	          └──► blocking ──────────────────────────►┘
//	                └── Blocking.Callback ──► open
//
// What an event looks at stands first, in 128 bytes.
type Conn struct {
	loop  *loop
	token poller.Token

	// Owned by the loop.
	handler Handler
	left    *buf.Flat // input the handler left behind; nil when it left none
	block   *Blocking // set while the connection is on its blocking face; written on the loop under mu
	set     *settings // shared with the other connections of its listener or dial
	flags   flags     // what the loop knows about the connection
	traits  traits    // optional interfaces of handler
	adopted bool      // the descriptor may be shared with another process; never changes
	work    int32     // calls of Go that have not come back

	// Shared; guarded by mu but for reading pending.
	mu      sync.Mutex
	fd      int        // -1 once closed
	out     *buf.Chain // accepted bytes that the kernel has not taken; nil when none
	pending atomic.Int64
	sent    uint64       // bytes the kernel took, ever
	shut    shut         // what may no longer be done
	dirty   bool         // stands in the loop's list for the end of the turn
	wanting bool         // a writer was refused or the mark was reached: call Drained
	class   bounds.Class // that the descriptor is counted as; never changes

	// Of other goroutines to the loop.
	asks   atomic.Uint32 // what they want of it, see post.go
	paused atomic.Bool   // by Pause

	received uint64 // bytes read, ever; the loop's

	// From here on, what is seldom looked at.

	timer  timer.Timer // see patience.go; the loop's, as the next two
	vigil  *vigil      // nil as long as nobody is impatient
	active timer.Time  // when bytes last arrived; kept only under an idle time-out
	cause  error       // why it ends; the first wins. Guarded by mu
	ln     *Listener   // that accepted it, or nil
	peer   sock.Peer
}

// flags is what the loop knows about a connection.
type flags uint16

const (
	readable    flags = 1 << iota // the kernel may hold more bytes for us: an edge came, and no read has said EAGAIN since
	hungUp                        // the peer has hung up: a short read is not the last one
	ended                         // the peer's end of stream has been read
	endAfter                      // close when nothing is pending: the peer ended and the handler does not care
	closing                       // Close was asked for: flush, then drop
	waiting                       // stands in the loop's again list
	gone                          // dropped: no callback but Closed, no descriptor
	begun                         // counted and traced as opened
	opened                        // Serve has answered: Closed is owed
	wasBlocking                   // has been on its blocking face: sent is not all that was sent
	deaf                          // closing, and what comes in is thrown away
	lingering                     // deaf, and counted: our end of stream is sent, the peer's awaited
	onUnix                        // peer is of whom a proxy speaks for over a Unix socket
)

// shut is what a connection no longer accepts, guarded by its mu.
type shut uint8

const (
	shutWrite shut = 1 << iota // CloseWrite or Close: no more writes
	finAsked                   // CloseWrite: shutdown(SHUT_WR) when nothing is pending
	finSent                    // and it was done
	shutDown                   // gone
)

// traits are the optional interfaces of a handler, found once.
type traits uint8

const (
	hasDrained traits = 1 << iota
	hasEOF
	hasShutdown
)

// settings are Options as a connection uses them. They are shared and never
// changed; a connection that wants its own gets a copy.
type settings struct {
	Options
}

// SetHandler replaces the handler. The old one gets no further call, not even
// Closed. While the runtime shuts down, a new one with a Shutdown is told, if the
// old one had none. Loop only.
func (c *Conn) SetHandler(h Handler) {
	c.loop.check()
	told := c.traits&hasShutdown != 0
	c.setHandler(h)
	if c.loop.drain && !told && c.traits&hasShutdown != 0 {
		c.loop.tellShutdown(c)
	}
}

func (c *Conn) setHandler(h Handler) {
	c.handler, c.traits = h, 0
	if _, ok := h.(Drainer); ok {
		c.traits |= hasDrained
	}
	if _, ok := h.(EOFHandler); ok {
		c.traits |= hasEOF
	}
	if _, ok := h.(ShutdownHandler); ok {
		c.traits |= hasShutdown
	}
}

// Loop returns the index of the loop that owns the connection.
func (c *Conn) Loop() int { return c.loop.index }

// ID names the connection among all of its runtime, past ones included, until
// a slot has been used 16 million times: loop (8 bits), generation (24), slot
// (32).
func (c *Conn) ID() uint64 { return c.loop.id(c.token) }

// Remote returns the peer's address, or of whom it has said to speak for
// (SpeaksFor); for Unix sockets the path they are bound to, if they are and the
// connection is open.
func (c *Conn) Remote() Addr {
	if c.peer.IsValid() {
		return Addr(c.peer.Addr())
	}
	var a sock.Addr
	c.withFD(func(fd int) { a, _ = sock.RemoteAddr(fd) })
	return Addr(a)
}

// Local returns the address of this end, the zero Addr when the connection is
// closed.
func (c *Conn) Local() Addr {
	var a sock.Addr
	c.withFD(func(fd int) { a, _ = sock.LocalAddr(fd) })
	return Addr(a)
}

// Control calls f with the descriptor, which is open as long as f runs. f must
// not block, close it, change its blocking mode, or call back into c.
func (c *Conn) Control(f func(fd uintptr)) error {
	if !c.withFD(func(fd int) { f(uintptr(fd)) }) {
		return ErrClosed
	}
	return nil
}

// withFD calls f while the descriptor cannot be closed; false when it is.
func (c *Conn) withFD(f func(fd int)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return false
	}
	f(c.fd)
	return true
}

// SetIdle changes the connection's idle time-out; 0 ends it. Loop only.
func (c *Conn) SetIdle(d time.Duration) {
	c.loop.check()
	own := *c.set
	own.Idle = d
	c.set = &own
	c.active = c.loop.now
	c.arm()
}

// SetMinRate changes the least rate of incomplete messages; the zero Rate is that
// of Options. Loop only.
func (c *Conn) SetMinRate(r Rate) {
	c.loop.check()
	if r.Bytes > 0 {
		setZero(&r.Grace, 5*time.Second)
	}
	own := *c.set
	own.MinRate = r
	c.set = &own
	c.messageGoesOn()
	c.arm()
}
