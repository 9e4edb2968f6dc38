package stream

import (
	"context"
	"errors"
	"time"

	"github.com/weir-go/weir/conn"
)

// Breaker keeps a Client from dialing a target that has failed too often. A
// *breaker.Breakers is one; several Clients may share it.
//
//	Allow ─► no:  no dial; the next target, or a pause until it may say yes
//	      └► yes: dial ─► SETTINGS ─► a call is placed there: done(nil)
//	                └────────┴─► not to be had, or gone before that: done(err)
//
// A Client pauses between its rounds as it is (Backoff), so one alone makes few
// dials: a breaker that is to open for it should need no more than three or so
// (breaker.Config.Calls).
//
// A connection that nobody wants any more when it is ready has succeeded. What
// is no fault of the target's, such as a runtime that shuts down or has too many
// connections already, reaches done as an error that is context.Canceled for
// errors.Is; what the system or package bounds have refused reaches it as it is.
// Callers do not count: a dial is nobody's, and goes on when they leave.
type Breaker interface {
	// Allow asks for one connection to a target, which is its conn.Addr as text.
	// Who gets nil calls done, once, with what came of it. An error that has a
	// method Pushback() time.Duration also says when to ask again. It is called
	// on any goroutine, loops too, and must not wait; nor must done.
	Allow(target string) (done func(error), err error)
}

// launch begins an attempt if the target's breaker lets it. mu is not held: a
// breaker may have something to tell.
func (c *Client) launch(a *attempt) {
	if b := c.set.Breaker; b != nil {
		done, err := b.Allow(a.target.String())
		if err != nil {
			a.barred(err)
			return
		}
		a.done = done
	}
	c.nums.dials.Add(1)
	c.dial(a)
}

// barred ends an attempt that was not begun.
func (a *attempt) barred(err error) {
	c := a.c
	var t todo
	c.nums.barred.Add(1)
	c.mu.Lock()
	a.over, c.dialing = true, nil
	c.inVain(&t, err, true)
	c.schedule(&t)
	c.checkEnd()
	c.mu.Unlock()
	c.do(&t)
}

// tell lets the breaker know what came of it, once. Any goroutine, without
// Client.mu.
func (a *attempt) tell(err error) {
	if a.done == nil || a.told.Load() || !a.told.CompareAndSwap(false, true) {
		return
	}
	for _, own := range []error{conn.ErrClosed, conn.ErrShutdown, conn.ErrBusy, conn.ErrLimit, conn.ErrBudget} {
		if errors.Is(err, own) {
			err = ours{err}
			break
		}
	}
	a.done(err)
}

// ours is an error that says nothing about a target. Breakers know it as they
// know that a caller has left.
type ours struct{ error }

func (e ours) Is(target error) bool { return target == context.Canceled }

func (e ours) Unwrap() error { return e.error }

// barred counts the targets that were not dialed because of their breakers.
type barred struct {
	n    int           // in a row
	wait time.Duration // until the first of them may be dialed; 0: nobody knows
}

// pause is how long nobody is asked when all were barred: as the first of them has
// said or, if none knows, as after one round.
func (b barred) pause(o Backoff) time.Duration {
	if b.wait > 0 {
		return min(b.wait, o.Max)
	}
	return o.delay(0)
}

func (b *barred) add(err error, is bool) {
	if !is {
		*b = barred{}
		return
	}
	b.n++
	var x interface{ Pushback() time.Duration }
	if errors.As(err, &x) {
		if d := x.Pushback(); d > 0 && (b.wait == 0 || d < b.wait) {
			b.wait = d
		}
	}
}
