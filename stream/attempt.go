package stream

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/conn"
)

// attempt is a connection that is being made, until its session is ready.
//
//	launch ─► dial ─► Connect ─► Attach ─► SETTINGS: ready
//	  └─────────┴────────┴──────────┴─► failed: the next target, or backoff
type attempt struct {
	c      *Client
	target conn.Addr
	cancel context.CancelFunc // of the dial's context; set before it begins

	// Guarded by Client.mu.
	over bool
	line *line // attached, not ready

	// What the target's breaker is told, once; nil: there is none.
	done func(error)
	told atomic.Bool
}

func (a *attempt) start() {
	c := a.c
	ctx, cancel := context.WithTimeout(c.life, c.set.DialTimeout)
	a.cancel = cancel
	context.AfterFunc(ctx, func() { a.fail(context.Cause(ctx)) })
	serve := func(nc *conn.Conn) conn.Handler {
		if c.set.Connect != nil {
			return c.set.Connect(nc, a.attach, a.fail)
		}
		if s := a.attach(nc); s != nil {
			return (*wire)(s)
		}
		return nil
	}
	if err := c.set.Dialer.Start(ctx, c.rt, a.target, serve, a.fail); err != nil {
		a.fail(err)
	}
}

// attach begins the session. On its loop.
func (a *attempt) attach(link Link) *Session {
	c := a.c
	l := &line{client: c, room: 1, attempt: a}
	s := &Session{own: &c.side, link: link, line: l}
	l.sess = s
	c.mu.Lock()
	if a.over || a.line != nil || c.closed {
		c.mu.Unlock()
		return nil
	}
	a.line = l
	c.sessions++
	c.mu.Unlock()
	c.count.sessions.Add(1)
	s.start()
	return s
}

// fail ends an attempt: the next target has its turn or, when all had, the
// client pauses. Any goroutine; later calls do nothing.
func (a *attempt) fail(err error) {
	if !a.finish(err) {
		return
	}
	a.cancel()
	a.tell(err)
}

func (a *attempt) finish(err error) bool {
	c := a.c
	var t todo
	c.mu.Lock()
	if a.over {
		c.mu.Unlock()
		return false
	}
	a.over, c.dialing = true, nil
	c.nums.dialErrors.Add(1)
	attached := a.line
	c.inVain(&t, err, false)
	c.schedule(&t)
	c.checkEnd()
	c.mu.Unlock()
	if attached != nil {
		attached.sess.Close()
	}
	c.do(&t)
	return true
}

// inVain counts a connection that came to nothing or, barred, that was not begun
// because of a breaker. After a round of them the client pauses. mu is held.
func (c *Client) inVain(t *todo, err error, barred bool) {
	c.lastErr, c.lastBarred = err, barred
	c.barred.add(err, barred)
	if c.failed++; c.failed%len(c.set.Targets) != 0 {
		return
	}
	c.pause()
	if !c.hasReady() {
		c.failWaiting(t, c.unavailable(), false)
	}
}

// pause begins the backoff. A round in which nobody was dialed makes it no
// longer: the breakers know how long they want to be left alone. mu is held.
func (c *Client) pause() {
	all := c.barred
	c.barred = barred{}
	if c.closed || c.cooling != nil {
		return
	}
	if all.n == len(c.set.Targets) {
		c.cooling = time.AfterFunc(all.pause(c.set.Backoff), c.warm)
		return
	}
	c.cooling = time.AfterFunc(c.set.Backoff.delay(c.rounds), c.warm)
	c.rounds++
}

// delay returns how long to wait after so many rounds in vain: anything up to
// the bound, so that clients who have lost one server together do not come back
// together.
func (b Backoff) delay(rounds int) time.Duration {
	bound := b.Max
	if shift := min(max(rounds, 0), 62); b.Min < bound>>shift {
		bound = b.Min << shift
	}
	return rand.N(max(bound, 1)) + 1
}

// warm ends the backoff.
func (c *Client) warm() {
	var t todo
	c.mu.Lock()
	c.cooling = nil
	c.schedule(&t)
	c.mu.Unlock()
	c.do(&t)
}
