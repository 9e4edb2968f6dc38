package stream

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/h2"
	"github.com/weir-go/weir/timer"
)

var (
	errNotReady = errors.New("stream: the connection ended before it was ready")
	errUnused   = errors.New("stream: the server let go of the connection before it took a call")
)

// line is a client's connection.
type line struct {
	client  *Client
	sess    *Session
	table   headerTable // of the loop
	attempt *attempt
	said    string       // of the loop: the server's GOAWAY
	calmed  bool         // of the loop: and one of them was for too many pings
	since   atomic.Int64 // when the connection's send window was used up; 0: it is not

	// Guarded by Client.mu.
	n       int // streams placed here
	room    int // how many the server allows
	ready   bool
	used    bool // a stream was opened on it
	leaving bool // takes no more
}

// crowdedAfter is how long a connection's send window is used up before calls
// look for another one.
const crowdedAfter = 10 * time.Millisecond

// setFull notes whether the connection's send window is used up. A client wants
// to know for how long.
func (s *Session) setFull(full bool) {
	if s.line != nil && full != s.full {
		s.line.stuck(full)
	}
	s.full = full
}

// crowded reports whether the server takes no data on the connection.
func (l *line) crowded() bool {
	t := timer.Time(l.since.Load())
	return t != 0 && timer.Now().Sub(t) > crowdedAfter
}

// stuck notes whether the send window is used up. On the loop.
func (l *line) stuck(full bool) {
	if full {
		l.since.Store(int64(timer.Now()))
	} else {
		l.since.Store(0)
	}
}

// take places a stream. Client.mu is held.
func (l *line) take(o *outgoing) {
	l.n++
	o.line, o.place = l, onLine
	if o.begun != nil {
		o.signalBegun()
	}
}

// settings are the server's; the first ones make the line ready. On the loop.
func (l *line) settings(room int) {
	c := l.client
	var t todo
	c.mu.Lock()
	l.room = room
	first := !l.ready && !l.attempt.over
	if first {
		l.ready, l.attempt.over = true, true
		c.dialing = nil
		c.lines = append(c.lines, l)
		c.nums.connected.Add(1)
	}
	late := first && c.closed // Close has not seen it
	c.schedule(&t)
	unwanted := l.n == 0
	c.mu.Unlock()
	if first {
		l.attempt.cancel()
	}
	if first && unwanted { // as good as it can be known now
		l.attempt.tell(nil)
	}
	if late {
		l.sess.Close()
	}
	c.do(&t)
}

// serves notes that a stream was opened: the target is good for something. On
// the loop.
func (l *line) serves() {
	if l.used { // the loop's own write: no lock is needed to read it here
		return
	}
	c := l.client
	c.mu.Lock()
	l.used = true
	c.failed, c.rounds, c.unused, c.barred = 0, 0, 0, barred{}
	c.mu.Unlock()
}

// goodbyes is how many connections in a row a server may let go of at once until
// that counts as dials in vain. One that drains them by their age may do so by
// chance, and its calls are not to fail for it.
const goodbyes = 3

// leave takes the line out of use. When several in a row that were ready leave
// before a stream was opened on them, while calls wanted one, each further one
// counts as a dial in vain: a server that says goodbye at once is not dialed on
// and on. On the loop.
func (l *line) leave() {
	c := l.client
	var t todo
	c.mu.Lock()
	if l.leaving {
		c.mu.Unlock()
		return
	}
	l.leaving = true
	ready, closed := l.ready, c.closed
	if l.ready && !l.used && l.n+c.queue.n > 0 {
		if c.unused++; c.unused > goodbyes {
			c.inVain(&t, errUnused, false)
		}
	}
	c.schedule(&t)
	c.mu.Unlock()
	switch {
	case closed:
		l.attempt.tell(conn.ErrClosed)
	case ready: // one that is not will fail
		l.attempt.tell(errUnused)
	}
	c.do(&t)
}

// goAway is told of GOAWAY. A server that was pinged too often is pinged half as
// often from then on; saying it again on the same connection changes nothing.
func (l *line) goAway(code h2.Code, why string) {
	l.client.nums.goAways.Add(1)
	l.said = fmt.Sprintf("GOAWAY with %v %q", code, why)
	if code == h2.EnhanceYourCalm && why == "too_many_pings" && !l.calmed {
		l.calmed = true
		l.client.mu.Lock()
		l.client.alive = min(l.client.alive, never/2) * 2
		l.client.mu.Unlock()
	}
}

// farewell is the status of streams that end with the connection.
func (l *line) farewell(why string) *Status {
	if l.said != "" {
		why += ", after " + l.said
	}
	return &Status{Code: Unavailable, Message: why}
}

func (c *Client) aliveTime() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alive
}

// left is told of a stream that has ended. On the loop.
func (l *line) left(o *outgoing) { l.client.finished(o) }

// lost is told that the session has gone. On the loop.
func (l *line) lost(err error) {
	c := l.client
	var t todo
	c.count.sessions.Add(-1)
	if err == nil {
		err = errNotReady
	}
	l.attempt.fail(err) // if it never was ready
	c.mu.Lock()
	c.sessions--
	for i, x := range c.lines {
		if x == l {
			c.lines = append(c.lines[:i], c.lines[i+1:]...)
			break
		}
	}
	c.schedule(&t)
	c.checkEnd()
	c.mu.Unlock()
	c.do(&t)
}
