// Package conn moves bytes between sockets and handlers, on loops of its own
// and without package net.
//
//	kernel ─► Poller.Wait ─► loop.turn ─► fill ─► Handler.Data
//	                                                  │ your code
//	kernel ◄─ send ◄──────── flush ◄───── Conn.Write ◄┘
//
// A [Runtime] has a few loops. Each loop is one goroutine around one
// poller.Poller; it owns the connections that were given to it, for life. One
// turn of a loop is, in this order: sleep until something is ready, readiness,
// deadlines, posted work, and one flush for every connection written to with
// Append.
//
// # The callback face
//
// A [Handler] is told when bytes are there and looks at them where the kernel
// put them ([Conn.Peek]): in one buffer that all connections of the loop share.
// What it leaves behind is kept in a buffer of the connection's own until it is
// consumed. An idle connection owns no buffer and no goroutine.
//
// Callbacks of one connection never overlap and must not block: everything
// else on the loop waits for them. [Conn.Go] hands blocking work to a pool.
//
// # The blocking face
//
// [Conn.Block] turns a connection over to goroutines that wait: [Blocking] has
// Read and Write with deadlines, and package netconn makes a net.Conn of it.
// The loop then only signals readiness; the system calls happen on the caller's
// goroutine, into the caller's buffer. [Blocking.Callback] goes the other way.
//
// # Limits
//
// Everything has one, with a policy and a counter in [Stats]: output per
// connection (HighWater: Write answers ErrFull, Drained follows), unconsumed
// input (InLimit: reading stops, the peer is slowed down by TCP), all bytes
// together (ByteBudget: Write answers ErrBudget), connections (MaxConns:
// refused), closed ones that wait for their peers' ends (LingerConns: closed
// without), posted functions (PostQueue: ErrBusy), descriptors (listeners park
// and come back, they never end and never spin).
package conn
