package conn

import (
	"time"

	"github.com/weir-go/weir/poller"
)

// Trace is told what happens on the loops. Each function may be nil. They are
// called on the loop (Wrote and Slow also elsewhere, see there), must not
// block, and must not call back into the connection except for its addresses
// and ID.
type Trace struct {
	Event     func(loop int, id uint64, r poller.Ready) // raw readiness, before anything is done about it
	Turn      func(loop, events int, d time.Duration)   // a turn ended; d without the sleep before it
	Opened    func(c *Conn)
	Read      func(c *Conn, n int)     // n bytes came out of the kernel
	Wrote     func(c *Conn, n int)     // n bytes went into the kernel; on the goroutine that wrote, with the connection locked: ID and a TCP peer's Remote only
	Lingering func(c *Conn)            // Close has sent everything and the end of stream, and waits for the peer's
	Closed    func(c *Conn, err error) // err as for Handler.Closed: ErrIdle, ErrSlow, proxyproto's errors and so on

	// Refused is told of an accept that made no connection: ErrLimit, ErrShutdown, a
	// *bounds.Refusal, an error of its Guard, or the system's; and of a connection
	// whose proxy spoke for somebody whom the Guard does not let in (SpeaksFor).
	// What the states of Config.Bounds do, bounds.Config.Changed is told.
	Refused func(l *Listener, err error)

	Panic func(c *Conn, p *PanicError) // c is nil when the function was not a connection's
	Slow  func(s SlowCallback)         // on the watchdog's goroutine
}

// SlowCallback names a callback that has held its loop for too long and still
// does.
type SlowCallback struct {
	Loop    int
	ID      uint64        // the connection's ID, 0 for a posted function of no connection
	Running time.Duration // at least
	Stack   string        // of the loop's goroutine; empty when it was not found
}
