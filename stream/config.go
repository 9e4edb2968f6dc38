package stream

import (
	"time"

	"github.com/weir-go/weir/internal/h2"
)

// Config says what a Server allows its peers. The zero value works; each field's
// zero stands in its comment. At each limit something happens that the comment
// of the limit names, and a counter of Stats counts it.
type Config struct {
	MaxRecv    int // bytes of a received message, after decompression too. 0: 4 MiB. Above: the stream ends with ResourceExhausted
	MaxSend    int // bytes of a sent one. 0: 2 GiB. Above: sending fails with ResourceExhausted
	MaxStreams int // of one session at once, until their handlers have returned. 0: 1000. Above: REFUSED_STREAM
	SendLimit  int // bytes in one stream's send queue at which it is full. 0: 64 KiB

	StreamWindow int // bytes a peer may send on a stream unasked. 0: 64 KiB
	ConnWindow   int // and on all streams of a session. 0: 1 MiB, or half of SessionBudget if that is less
	MaxWindow    int // to which both grow where bandwidth and delay ask for it, and a stream's for a large message. 0: 4 MiB, or half of SessionBudget if that is less; at least the others

	SessionBudget int64 // bytes of a session's messages that wait: to be complete, to be received, to be sent. 0: 16 MiB, at least twice MaxRecv. Above: the session's peer is slowed down; above twice as much the session ends. Messages that a peer has begun at once are completed in turns, of which one that brings nothing for 5 to 10 s goes to the next; when those that wait hold more than half, further ones end with ResourceExhausted
	ServerBudget  int64 // the same for all sessions together. 0: 256 MiB. Above half of it, new streams of sessions with more than their share end with ResourceExhausted; above it, these sessions are slowed down; above twice as much, all new streams end so

	MaxHeaderList int           // bytes of a header list, as RFC 9113, section 6.5.2, counts. 0: 16 KiB. Above: ResourceExhausted
	ControlLimit  int           // bytes of answers to control frames that a peer does not read. 0: 64 KiB. Above: the session ends with ENHANCE_YOUR_CALM
	HeaderTimeout time.Duration // for the preface with the first SETTINGS, for a header block, and for a frame other than DATA, to be complete. 0: 10 s. Then the session ends

	Keepalive Keepalive
	Enforce   Enforcement
	MaxAge    time.Duration // of a session, after which it is drained; 10 % more or less. 0: never
	AgeGrace  time.Duration // that a drained session's streams have. 0: for ever
	MaxIdle   time.Duration // without streams, after which a session is drained. 0: never

	// Admit is asked for each stream, but not for calls of one request and one
	// answer (Method's Unary and Brief). Who is refused is told Unavailable, what
	// there is too little of (the trailer weir-degraded), when to come back
	// (grpc-retry-pushback-ms) and, if the method has one, its Twin.
	//
	// When its Verdict is bounds.Shed or worse, sessions that have had no streams
	// for 10 s are drained, a twentieth of all each second; when it is
	// bounds.Critical or worse, streams end that have been idle for longest, but
	// 10 s, in the same way: with Unavailable and the same trailers, and only
	// those of which nothing is on its way. A server with more than 4,096 sessions
	// asks so many of them each second, and is slower by as much. nil: everybody is
	// let in.
	Admit Admission

	Limits Limits // of each stream. Zero: see there

	Workers     int          // goroutines of methods with Go. 0: 10,000. Above: the stream ends with ResourceExhausted
	Compressors []Compressor // that peers may use. nil: gzip

	// PanicReport is told of panics in methods and handlers, on whatever
	// goroutine it was. The stream ends with Internal. nil: nobody is told.
	PanicReport func(method string, value any, stack []byte)

	Trace *Trace // is told of what is refused, and what ends for a limit. nil: nobody
}

// Keepalive is how a session finds out that its peer has gone.
type Keepalive struct {
	Time    time.Duration // without a byte from the peer, after which it is pinged. 0: 2 h
	Timeout time.Duration // for its answer. 0: 20 s. Then the session ends
}

// Enforcement is how often peers may ping.
type Enforcement struct {
	MinTime       time.Duration // between two pings, unless we have sent something meanwhile. 0: 5 min; negative: any
	WithoutStream bool          // without streams too; otherwise every 2 h then
	Strikes       int           // pings that come too early and are forgiven. 0: 2. Above: the session ends with ENHANCE_YOUR_CALM
}

func (c *Config) setDefaults() {
	zero(&c.MaxRecv, 4<<20)
	zero(&c.MaxSend, 1<<31-1)
	zero(&c.MaxStreams, 1000)
	zero(&c.SendLimit, 64<<10)
	zero(&c.StreamWindow, 64<<10-1)
	zero(&c.SessionBudget, max(16<<20, 2*int64(c.MaxRecv)))
	// What a peer sends within its window takes up to twice as much storage, and
	// the window is open when the budget is used up: a peer that keeps to the
	// rules must not come to twice the budget.
	half := int(min(c.SessionBudget/2, h2.MaxWindow))
	zero(&c.ConnWindow, min(1<<20, half))
	zero(&c.MaxWindow, min(4<<20, half))
	c.MaxWindow = max(c.MaxWindow, c.StreamWindow, c.ConnWindow)
	zero(&c.ServerBudget, 256<<20)
	zero(&c.MaxHeaderList, 16<<10)
	zero(&c.ControlLimit, 64<<10)
	zero(&c.HeaderTimeout, 10*time.Second)
	zero(&c.Keepalive.Time, 2*time.Hour)
	zero(&c.Keepalive.Timeout, 20*time.Second)
	zero(&c.Enforce.MinTime, 5*time.Minute)
	zero(&c.Enforce.Strikes, 2)
	zero(&c.Workers, 10_000)
	if c.Admit != nil {
		c.Limits = c.Limits.or(Limits{Idle: limitDefault, Receive: limitDefault, Send: limitDefault})
	}
	if c.Compressors == nil {
		c.Compressors = []Compressor{Gzip(0)}
	}
	// Lengths are 32 bits on the wire, and one queue counts in 32 bits.
	c.MaxRecv = min(c.MaxRecv, 1<<31-1)
	c.MaxSend = min(c.MaxSend, 1<<31-1)
	c.SendLimit = min(c.SendLimit, 1<<30)
}

// limits is the part that package h2 looks after.
func (c *Config) limits(client bool) *h2.Limits {
	return h2.NewLimits(h2.Config{
		Client:        client,
		MaxStreams:    uint32(c.MaxStreams),
		StreamWindow:  int32(min(c.StreamWindow, h2.MaxWindow)),
		ConnWindow:    int32(min(c.ConnWindow, h2.MaxWindow)),
		MaxHeaderList: uint32(c.MaxHeaderList),
	})
}

func zero[T comparable](v *T, def T) {
	var none T
	if *v == none {
		*v = def
	}
}
