package conn

// Handler is the user's side of one connection. All its methods, and those of
// the optional interfaces below, are called on the loop that owns the
// connection, one at a time. A panic in one closes the connection with a
// *PanicError as its cause; the loop goes on.
type Handler interface {
	// Data is called when bytes have arrived: Peek shows all that are
	// unconsumed, Discard and Read consume. What is left behind is shown again
	// when more has come. An error ends the connection with that cause, as
	// CloseWith does: a last answer is safe only with Close.
	Data(c *Conn) error

	// Closed is called exactly once, after every other callback, when the
	// socket is gone. err is io.EOF when the peer finished, nil when Close was
	// called here, otherwise the cause.
	Closed(c *Conn, err error)
}

// Drainer is an optional interface of a Handler that wants to know when output
// has room again.
type Drainer interface {
	// Drained is called when pending output has fallen to LowWater after a
	// write was refused with ErrFull or output reached HighWater.
	Drained(c *Conn)
}

// EOFHandler is an optional interface of a Handler for protocols with
// half-closed connections.
type EOFHandler interface {
	// EOF is called once, when the peer has finished sending and all its bytes
	// were shown. Writing is still possible; the connection stays until Close.
	// Without EOF it is closed when nothing is pending any more, so that a
	// peer which half-closes still gets its answer.
	EOF(c *Conn) error
}

// ShutdownHandler is an optional interface of a Handler that has something to
// say or to finish when the Runtime shuts down.
type ShutdownHandler interface {
	// Shutdown is called once when Runtime.Shutdown begins. The handler closes
	// the connection when it has finished. Without it the connection is closed
	// as soon as it is quiet: nothing unconsumed, nothing pending, no work out.
	Shutdown(c *Conn)
}

// Serve makes the Handler of a connection that has just opened. It is called
// on the loop that owns c and may already write. A nil Handler refuses the
// connection, unless Serve called c.Block: then it belongs to the Blocking. It
// ends at once then; a Serve that gives its peer a reason closes it instead.
type Serve func(c *Conn) Handler

// Pool runs blocking work for Conn.Go. Submit must not block: a full pool
// answers with an error. *ants.Pool with its Nonblocking option fits.
type Pool interface {
	Submit(work func()) error
}
