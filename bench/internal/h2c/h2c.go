// Package h2c is the lean client of the stream benchmark: gRPC over HTTP/2 in frames that it reads and writes itself,
// on one loop, so that on a machine it shares with the server it is rarely the limit. It keeps the rules that a server
// may count on (windows, SETTINGS and PING answered, one HPACK table) and believes nothing: each message is compared
// with what it must be, byte by byte and in its place.
//
//	dial ─► preface, SETTINGS ─► the server's SETTINGS ─► open the streams ─► Echo, Unary: messages out and back
//	                                                                         Listen:      messages in
//	                                                                         Idle:        nothing
//
//	Begin ─────── Measure ─── Measure ─────── Settle: nothing is under way, nothing was lost
package h2c

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-go/weir/bench/internal/news"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/drive"
)

// Mode is what the streams do.
type Mode string

const (
	Echo   Mode = "echo"   // each stream has one message under way, for ever
	Unary  Mode = "unary"  // each stream is a call with one message; the next follows it
	Listen Mode = "listen" // each stream asks once and is sent news
	Idle   Mode = "idle"   // connections without streams
)

// Config says what to do.
type Config struct {
	To      conn.Addr
	Path    string // of the method, "/package.Service/Method"
	Mode    Mode
	Conns   int  // connections. 0: 1
	Streams int  // on all of them together, dealt in turn. Idle: none
	Size    int  // bytes of a body. 0: 64
	Raw     bool // the server sends a request back as it is

	// Slow says that one of so many streams is never read: its window stays shut after some messages. It asks for
	// what it can take only. 0: none. Listen only.
	Slow int
	// Lossy lets the others, too, ask for what they can take only. Nothing may be lost all the same. Listen only.
	Lossy bool
	// From is the number of the last message before the first that must come. Listen only.
	From uint64
}

// What a stream asks for, the one byte of the body of its request. Listen only.
const (
	All   = 0 // every message; the publisher waits for it
	Lossy = 1 // what it can take
)

// Errors that the client finds out. Others are the system's.
var (
	ErrProtocol = errors.New("h2c: the server broke HTTP/2's or gRPC's rules")
	ErrWrong    = errors.New("h2c: a message is not what it must be")
	ErrEnded    = errors.New("h2c: the server ended a stream or a connection")
	ErrStuck    = errors.New("h2c: messages never came")
)

// Result is what a window saw.
type Result struct {
	Messages uint64 // echoed, answered, or received by those that read
	Elapsed  time.Duration
	P50, P99 time.Duration
}

// Client is some connections with streams. Its methods are called by one goroutine, which is not the loop.
type Client struct {
	cfg Config
	rt  *conn.Runtime

	// Owned by the loop.
	links   []*link
	head    []byte // of every request's message: what stands before the body
	now     int64  // of the callback that runs
	running bool
	count   uint64
	latency drive.Latency
	failure error // the first
	ready   int   // connections whose streams are open
	want    uint64
	waiting chan error // Open or Settle, told once; nil: nobody waits
	quiet   func() bool
}

// Open dials and opens the streams on rt, which has one loop. It returns when the requests are written, before the
// server has answered them.
func Open(ctx context.Context, rt *conn.Runtime, cfg Config) (*Client, error) {
	cfg.Conns, cfg.Size = cmp.Or(cfg.Conns, 1), cmp.Or(cfg.Size, 64)
	if cfg.Size < news.Least || cfg.Size%8 != 0 || cfg.Size > maxFrame/2 {
		return nil, fmt.Errorf("h2c: no bodies of %d bytes", cfg.Size)
	}
	c := &Client{cfg: cfg, rt: rt}
	c.head = news.AppendHead(nil, news.Request, cfg.Size)
	for i := range cfg.Conns {
		l := newLink(c, i)
		if _, err := rt.Dial(ctx, cfg.To, l.serve); err != nil {
			return nil, err
		}
	}
	return c, c.wait(ctx, func() bool { return c.ready == cfg.Conns })
}

// wait returns when quiet says so on the loop, which asks after each callback; or with the first failure.
func (c *Client) wait(ctx context.Context, quiet func() bool) error {
	told := make(chan error, 1)
	err := c.rt.Post(0, func() {
		c.quiet, c.waiting = quiet, told
		c.tell()
	})
	if err != nil {
		return err
	}
	select {
	case err := <-told:
		return err
	case <-ctx.Done():
		return errors.Join(ErrStuck, ctx.Err())
	}
}

// tell answers whoever waits. Loop only.
func (c *Client) tell() {
	if c.waiting != nil && (c.failure != nil || c.quiet()) {
		c.waiting <- c.failure
		c.waiting = nil
	}
}

// fail keeps the first failure.
func (c *Client) fail(err error) {
	if c.failure == nil {
		c.failure = err
	}
	c.tell()
}

// do runs f on the loop and returns the first failure so far.
func (c *Client) do(f func()) error {
	told := make(chan error, 1)
	err := c.rt.Post(0, func() {
		f()
		told <- c.failure
	})
	if err != nil {
		return err
	}
	return <-told
}

// Begin sends the first message of each stream; each answer sends the next. Echo and Unary only.
func (c *Client) Begin() error {
	return c.do(func() {
		c.running = true
		c.now = time.Now().UnixNano()
		for _, l := range c.links {
			l.begin()
		}
	})
}

// Measure counts for a while. The load goes on before, meanwhile and afterwards.
func (c *Client) Measure(ctx context.Context, d time.Duration) (r Result, err error) {
	var began time.Time
	if err := c.do(func() {
		c.count = 0
		c.latency.Reset()
		began = time.Now()
	}); err != nil {
		return r, err
	}
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-late.C:
	case <-ctx.Done():
		return r, ctx.Err()
	}
	err = c.do(func() {
		r = Result{Messages: c.count, Elapsed: time.Since(began), P50: c.latency.P50(), P99: c.latency.P99()}
	})
	return r, err
}

// Settle ends the load and returns when every message is back, or, for Listen, when every stream that reads has had
// message number last. The error says what went wrong at any time since Open.
func (c *Client) Settle(ctx context.Context, last uint64) error {
	return c.wait(ctx, func() bool {
		c.running = false
		for _, l := range c.links {
			if !l.settled(last) {
				return false
			}
		}
		return true
	})
}
