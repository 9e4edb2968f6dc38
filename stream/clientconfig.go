package stream

import (
	"time"

	"github.com/weir-go/weir/conn"
)

// ClientConfig says where a Client finds its servers, and what it allows them.
// Except for Targets the zero value works.
type ClientConfig struct {
	// Config is as a Server's, with these differences: MaxStreams, Enforce and
	// Workers do nothing; Keepalive.Time 0 is never, and only connections with
	// calls are pinged, unless PingIdle; MaxIdle 0 is 5 minutes, negative is
	// never.
	Config

	Targets   []conn.Addr // servers that are alike: each new connection tries them in turn, behind the one before
	Authority string      // what servers are asked for. "": the first target's address
	Scheme    string      // "http" or "https". "": the former, with Connect the latter
	UserAgent string      // "": weir

	MaxConns    int           // connections at once. 0: 2. Those that a server drains do not count, but there are never more than four times as many
	MaxWaiting  int           // calls that wait for a connection, or for when a server wants them back. 0: 1024. Above: ErrBusy, or they end with what the server has said
	DialTimeout time.Duration // until a connection is ready for calls. 0: 20 s
	Backoff     Backoff
	Retry       Retry
	PingIdle    bool // keepalive for connections without calls, too

	// Breaker is asked before a target is dialed. When it lets nobody through no
	// dial is begun: the next target has its turn or, when all had, calls fail
	// with Unavailable, which wraps what the breaker of the last one has said, or
	// wait (WaitForReady) until it lets one through. nil: nobody is asked.
	Breaker Breaker

	// Dialer makes the connections. Its Options are theirs.
	Dialer conn.Dialer

	// Connect prepares a new connection that is not to be a session as it is,
	// such as one with TLS. It is called on the connection's loop, as a
	// conn.Serve. Either it, or what it begins, calls attach on that loop, once,
	// and becomes the owner of the session that attach returns, as with
	// Server.Attach (nil: it came too late, the connection is to be closed), or
	// it calls failed, on any goroutine. nil: connections are sessions as they
	// are.
	Connect func(c *conn.Conn, attach func(Link) *Session, failed func(error)) conn.Handler
}

// Backoff is how long a Client waits after it has tried all its targets in vain:
// a random time up to a bound that doubles with each round.
type Backoff struct {
	Min time.Duration // the first bound. 0: 100 ms
	Max time.Duration // the last one. 0: 20 s
}

// Retry bounds what a Client does again by itself. There are two kinds of calls:
//
//   - A server has surely not looked at them (REFUSED_STREAM, GOAWAY). They are
//     opened again at once, elsewhere if there is another connection, one time.
//   - It has refused them with Unavailable or ResourceExhausted, before any
//     header, and said when to come back (grpc-retry-pushback-ms, gRFC A6). They
//     are opened again then if Times says so and the call has that much time
//     left. A pushback below 0, or one that cannot be read, asks not to come back.
//
// Both are paid from one budget, so that a server in trouble has no more than
// 1+Ratio times the calls to refuse, and Burst. A call that is not done again ends
// with what the server has said.
type Retry struct {
	Ratio float64       // of calls, that may be done again in the long run. 0: 0.2; negative: none
	Burst int           // that may be beyond that, as when a server drains a connection. 0: 256
	Times int           // that a call is done again when it is to come back. 0: never
	Most  time.Duration // that is waited for a server. 0: 1 min. Above: it ends the call
}

// CallOptions are what one call may have of its own. The zero value works.
type CallOptions struct {
	Header      Metadata      // of the request
	Timeout     time.Duration // for the call. 0: its context's, if it has one
	Compressor  string        // of the request's messages, one of Config's Compressors. "": none
	ContentType string        // "": application/grpc
	Authority   string        // "": the ClientConfig's

	// WaitForReady lets the call wait for a connection as long as it takes.
	// Otherwise it fails with Unavailable when all targets have.
	WaitForReady bool

	Retries int // times that it is done again when it is to come back. 0: Retry.Times; negative: never

	MaxRecv, MaxSend int // bytes of a message. 0: Config's
}

func (cfg *ClientConfig) setDefaults() {
	zero(&cfg.Keepalive.Time, never)
	zero(&cfg.MaxIdle, 5*time.Minute)
	cfg.Config.setDefaults()
	if cfg.Authority == "" && len(cfg.Targets) > 0 {
		cfg.Authority = "localhost"
		if at := cfg.Targets[0]; !at.IsUnix() {
			cfg.Authority = at.String()
		}
	}
	if cfg.Connect != nil {
		zero(&cfg.Scheme, "https")
	}
	zero(&cfg.Scheme, "http")
	zero(&cfg.UserAgent, "weir")
	zero(&cfg.MaxConns, 2)
	zero(&cfg.MaxWaiting, 1024)
	zero(&cfg.DialTimeout, 20*time.Second)
	zero(&cfg.Backoff.Min, 100*time.Millisecond)
	zero(&cfg.Backoff.Max, 20*time.Second)
	zero(&cfg.Retry.Ratio, 0.2)
	zero(&cfg.Retry.Burst, 256)
	zero(&cfg.Retry.Most, time.Minute)
}
