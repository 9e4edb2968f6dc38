package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/poller"
)

// tracer writes a line for each thing that happens (-v). The loops format the
// lines and leave them in a queue; a goroutine of its own writes them. A loop
// never waits for a terminal: when the queue is full the line is dropped and
// counted, and the count is shown in its place.
type tracer struct {
	began   time.Time
	queue   chan string
	dropped atomic.Uint64
	started bool
	written chan struct{}     // closed when all is written
	conns   []map[uint64]bool // open now: for each loop, which alone touches it
}

const traceQueue = 4096 // lines

const traceHeader = `     seconds  loop  conn      what
                    slot.generation: a slot is used again, its generation is new each time
`

// newTracer makes a tracer, or none: then its methods do nothing.
func newTracer(on bool) *tracer {
	if !on {
		return nil
	}
	t := &tracer{began: time.Now(), queue: make(chan string, traceQueue), written: make(chan struct{})}
	for range 256 { // as many loops as an ID has room for
		t.conns = append(t.conns, make(map[uint64]bool))
	}
	return t
}

// start begins to write.
func (t *tracer) start(out io.Writer) {
	if t != nil {
		t.started = true
		io.WriteString(out, traceHeader)
		go t.write(out)
	}
}

// write empties the queue until close.
func (t *tracer) write(out io.Writer) {
	defer close(t.written)
	for line := range t.queue {
		io.WriteString(out, line)
		if n := t.dropped.Swap(0); n > 0 {
			fmt.Fprintf(out, "%33s... %d events are not shown: they come faster than they can be written\n", "", n)
		}
	}
}

// close writes what is queued. The runtime must have been closed before.
func (t *tracer) close() {
	if t != nil && t.started {
		close(t.queue)
		<-t.written
	}
}

// say queues a line. On any goroutine of the runtime; never waits.
func (t *tracer) say(loop int, who, what, format string, args ...any) {
	line := fmt.Sprintf("%12.6f  %4d  %-8s  %-7s %s\n",
		time.Since(t.began).Seconds(), loop, who, what, fmt.Sprintf(format, args...))
	select {
	case t.queue <- line:
	default:
		t.dropped.Add(1)
	}
}

// name shows the parts of a connection's ID that matter within its loop.
func name(id uint64) string {
	return fmt.Sprintf("%d.%d", uint32(id), id>>32&0xffffff)
}

// kernel is who reports readiness.
var kernel = map[string]string{"linux": "epoll"}[runtime.GOOS]

// trace is what the runtime calls.
func (t *tracer) trace() *conn.Trace {
	if t == nil {
		return nil
	}
	if kernel == "" {
		kernel = "kqueue"
	}
	return &conn.Trace{
		Event: func(loop int, id uint64, r poller.Ready) {
			from := ""
			if !t.conns[loop][id] {
				from = " (not a connection: a listener, or one that has gone)"
			}
			t.say(loop, name(id), kernel, "%s%s", strings.ReplaceAll(r.String(), "|", ", "), from)
		},
		Turn: func(loop, events int, d time.Duration) {
			if events > 0 {
				t.say(loop, "", "turn", "%s in %v", count(events, "event"), d.Round(time.Microsecond))
			}
		},
		Opened: func(c *conn.Conn) {
			t.conns[c.Loop()][c.ID()] = true
			t.say(c.Loop(), name(c.ID()), "opened", "from %s", from(c))
		},
		Read:  func(c *conn.Conn, n int) { t.say(c.Loop(), name(c.ID()), "read", "%d bytes", n) },
		Wrote: func(c *conn.Conn, n int) { t.say(c.Loop(), name(c.ID()), "wrote", "%d bytes", n) },
		Lingering: func(c *conn.Conn) {
			t.say(c.Loop(), name(c.ID()), "lingers", "our end is sent, the peer's has not come yet")
		},
		Closed: func(c *conn.Conn, err error) {
			delete(t.conns[c.Loop()], c.ID())
			t.say(c.Loop(), name(c.ID()), "closed", "%s", why(err))
		},
		Refused: func(l *conn.Listener, err error) { t.say(0, "", "refused", "%v", err) },
		Panic:   func(c *conn.Conn, p *conn.PanicError) { t.say(0, "", "panic", "%v", p) },
		Slow: func(s conn.SlowCallback) {
			t.say(s.Loop, name(s.ID), "slow", "a callback has held the loop for %v", s.Running.Round(time.Millisecond))
		},
	}
}

// from is the peer's address; those of Unix sockets mostly have none.
func from(c *conn.Conn) string {
	if a := c.Remote(); a != (conn.Addr{}) {
		return a.String()
	}
	return "a Unix socket without a name"
}

// why puts a connection's end into words.
func why(err error) string {
	switch {
	case err == nil:
		return "by the server"
	case err == io.EOF:
		return "the peer has finished (end of stream)"
	}
	return err.Error()
}
