package conn

import "github.com/weir-go/weir/timer"

// SetTimer arms t on the loop's heap, or moves it there; see timer.Heap.Set.
// Its Fire is called on the loop, inside no connection's callback: what it
// writes with Write leaves at once, with Append at the end of the turn. It is
// not stopped when the connection ends: that is its owner's to do, in Closed at
// the latest. Loop only.
func (c *Conn) SetTimer(t *timer.Timer, when timer.Time) {
	c.loop.check()
	c.loop.heap.Set(t, when)
}

// StopTimer disarms t and reports whether it was active. Loop only.
func (c *Conn) StopTimer(t *timer.Timer) bool {
	c.loop.check()
	return c.loop.heap.Stop(t)
}

// Now returns the instant at which the loop's turn began. Loop only.
func (c *Conn) Now() timer.Time {
	c.loop.check()
	return c.loop.now
}

// Runtime returns the runtime that the connection belongs to. Any goroutine.
func (c *Conn) Runtime() *Runtime { return c.loop.rt }

// Loops returns the number of loops. Any goroutine.
func (rt *Runtime) Loops() int { return len(rt.all) }

// Post runs f on a loop, 0 to Loops()-1, as a callback of no connection: what it
// writes with Write leaves at once. ErrBusy when Config.PostQueue functions wait
// there already, ErrClosed when the loop has ended; functions that wait when it
// ends are not run. Any goroutine.
func (rt *Runtime) Post(loop int, f func()) error {
	return rt.all[loop].send(task{run: f}, rt.cfg.PostQueue)
}
