package drive

import (
	"fmt"
	"time"

	"github.com/weir-go/weir/conn"
)

// churner opens a connection, has one message echoed, closes it, and opens the
// next, all on one loop.
//
//	     window open
//	begin ──► dial ──► serve ──► Data ──► Close
//	           ▲  └── failed ─┐             │
//	           └──────────────┴── Closed ◄──┘
type churner struct {
	load   *Load
	dialer conn.Dialer // says which loop
	tally  *tally      // of that loop

	// Owned by the loop; while the window is closed, by begin.
	began   time.Duration
	reading cursor
	writing cursor
	got     int // bytes of the message that came back
	unsent  int // bytes of it that conn has not accepted yet
	misses  int // failures in a row

	// Shared, guarded by tally.mu.
	conn *conn.Conn // nil while there is none
	over bool       // gave up
}

// mostMisses is how often in a row a churner fails before it gives up: there is
// no server, or no descriptor or port left, and to go on would spin.
const mostMisses = 10

func (l *Load) newChurners() []client {
	all := make([]churner, l.cfg.Conns)
	clients := make([]client, len(all))
	for i := range all {
		loop := i % len(l.tallies)
		all[i] = churner{
			load: l, tally: &l.tallies[loop], dialer: conn.Dialer{Loop: loop + 1},
			reading: start(i), writing: start(i),
		}
		clients[i] = &all[i]
	}
	l.alive.Store(int64(len(all)))
	return clients
}

// dial begins the next connection.
func (c *churner) dial() {
	c.began = c.load.now()
	c.got, c.unsent, c.writing = 0, c.load.cfg.Size, c.reading
	if err := c.dialer.Start(c.load.ctx, c.load.rt, c.load.cfg.To, c.serve, c.failed); err != nil {
		c.failed(err)
	}
}

// serve is called when the connection is open.
func (c *churner) serve(connected *conn.Conn) conn.Handler {
	c.tally.mu.Lock()
	c.conn = connected
	c.tally.figures.conns++
	c.tally.figures.sent++
	c.tally.mu.Unlock()
	c.Drained(connected)
	return c
}

// Drained sends the message, or what was refused of it.
func (c *churner) Drained(connected *conn.Conn) {
	if err := push(connected, c.load.pattern, &c.writing, &c.unsent); err != nil {
		connected.CloseWith(err)
	}
}

// Data compares what has come back, and closes when that is the message.
func (c *churner) Data(connected *conn.Conn) error {
	in := connected.Peek()
	if err := c.load.pattern.check(&c.reading, in); err != nil {
		return err
	}
	connected.Discard(len(in))
	switch c.got += len(in); {
	case c.got > c.load.cfg.Size:
		return fmt.Errorf("%w: more than was sent", ErrMismatch)
	case c.got == c.load.cfg.Size:
		t := c.tally
		t.mu.Lock()
		t.figures.latency.Record(c.load.now() - c.began)
		if t.open {
			t.figures.requests++
		}
		t.mu.Unlock()
		connected.CloseWith(nil) // at once: there is nothing that the server has yet to hear
	}
	return nil
}

// Closed goes on with the next connection.
func (c *churner) Closed(_ *conn.Conn, err error) {
	c.tally.mu.Lock()
	c.conn = nil
	c.tally.mu.Unlock()
	if err != nil {
		c.failed(err)
		return
	}
	c.misses = 0
	c.again()
}

// failed counts a connection that could not be opened, or ended early.
func (c *churner) failed(err error) {
	c.load.fail(err)
	c.misses++
	c.again()
}

// again dials unless the window is closed or it has failed too often.
func (c *churner) again() {
	t := c.tally
	t.mu.Lock()
	gaveUp := c.misses >= mostMisses
	if t.open && !gaveUp {
		t.mu.Unlock()
		c.dial()
		return
	}
	t.out--
	c.over = gaveUp
	t.mu.Unlock()
	if gaveUp {
		c.load.alive.Add(-1)
	}
	c.load.signal()
}

// begin implements client.
func (c *churner) begin(int) {
	t := c.tally
	t.mu.Lock()
	over := c.over
	if !over {
		t.out++
	}
	t.mu.Unlock()
	if !over {
		c.dial()
	}
}

// giveUp implements client. A connect that is under way ends with the window's
// context.
func (c *churner) giveUp() {
	c.tally.mu.Lock()
	connected := c.conn
	c.tally.mu.Unlock()
	if connected != nil {
		connected.CloseWith(ErrStuck)
	}
}

// close implements client.
func (c *churner) close() {
	if !c.over {
		c.load.alive.Add(-1)
	}
}
