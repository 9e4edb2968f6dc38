package stream

import (
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/timer"
)

// Link is what a Session needs of its connection. A *conn.Conn is one. Another
// one, such as a TLS connection, embeds the *conn.Conn it runs on and replaces
// what moves bytes: Write, AppendShared, WriteShared, Pending, Room, Close,
// CloseWith and Poke. All methods are as conn.Conn describes them.
type Link interface {
	Write(p []byte) (int, error)
	AppendShared(s *conn.Shared) error
	Pending() int
	Room() int
	Close() error
	CloseWith(err error)

	// Poke asks for a call of Session.Poked on the loop, soon. Any goroutine,
	// never refused; several may be answered by one call.
	Poke()

	// Handed says that this callback has made goroutines runnable.
	Handed()

	SetTimer(t *timer.Timer, when timer.Time)
	StopTimer(t *timer.Timer) bool
	Now() timer.Time

	Loop() int
	ID() uint64
	Remote() conn.Addr
	Local() conn.Addr
	Runtime() *conn.Runtime
}

// outlet is what a topic's shard needs of a stream. Loop only.
type outlet interface {
	push(m *Message) bool // frames m now if nothing is queued and windows and room suffice; false: not now
	want()                // pull is called once when push may succeed again
	session() *Session    // groups subscribers, so that a publish does one flush for each session
	end(err error)        // Finish
}

// source is hung on a stream by Subscribe, as Stream.subs. It is called on the
// loop, between the session's begin and flush.
type source interface {
	pull(st *Stream) // push until false, or up to date
	gone(st *Stream) // the stream has ended: leave the shard
}

var _ outlet = (*Stream)(nil)
