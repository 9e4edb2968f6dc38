package conn

import (
	"runtime/debug"
	"time"

	"github.com/panjf2000/ants/v2"
)

// ownPool is the pool that a Runtime makes when it was given none.
type ownPool struct{ ants *ants.Pool }

// Submit runs f on a goroutine of the pool, or fails when all are busy.
func (p *ownPool) Submit(f func()) error { return p.ants.Submit(f) }

// Go runs work on a goroutine of the pool and then, if the connection is still
// open, then on its loop. Meanwhile Data is not called, so that what comes in is
// answered in order and the peer is slowed down by TCP; several Gos of one
// callback run side by side. ErrBusy when the pool has no goroutine free: the
// work will not be done, then will not be called. then may be nil. A panic in
// work closes the connection with a *PanicError. Loop only.
func (c *Conn) Go(work func(), then func()) error {
	c.loop.check()
	if c.flags&gone != 0 {
		return ErrClosed
	}
	rt := c.loop.rt
	pool, err := rt.workers()
	if err != nil {
		return err
	}
	c.work++
	rt.working.Add(1)
	if err := pool.Submit(func() { c.labour(work, then) }); err != nil {
		c.work--
		rt.working.Add(-1)
		rt.poolBusy.Add(1)
		return ErrBusy
	}
	c.loop.handed++
	return nil
}

// labour is Go on the pool's goroutine.
func (c *Conn) labour(work func(), then func()) {
	l, finished := c.loop, false
	defer func() {
		var p *PanicError
		if v := recover(); v != nil {
			p = &PanicError{Value: v, Stack: debug.Stack()}
		} else if !finished {
			p = &PanicError{Value: errGoexit}
		}
		// Not refused for want of room: there is at most one for each
		// goroutine of the pool.
		l.rt.working.Add(-1)
		l.send(task{run: func() { l.workDone(c, then, p) }}, 0)
	}()
	work()
	finished = true
}

// workDone is the return of a Go to the loop.
func (l *loop) workDone(c *Conn, then func(), p *PanicError) {
	c.work--
	if p != nil {
		l.count.panics++
		if t := l.rt.cfg.Trace; t != nil && t.Panic != nil {
			t.Panic(c, p)
		}
		c.fail(p)
		return
	}
	if c.flags&gone != 0 || c.asks.Load()&askDrop != 0 {
		return
	}
	c.messageGoesOn()
	l.enter(c)
	if then != nil {
		then()
	}
	l.leave(c)
	l.resume(c)
}

// workers returns the pool, which is made when it is first needed.
func (rt *Runtime) workers() (Pool, error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.closed {
		return nil, ErrClosed
	}
	if rt.pool == nil {
		p, err := ants.NewPool(rt.cfg.PoolSize, ants.WithNonblocking(true), ants.WithExpiryDuration(10*time.Second))
		if err != nil {
			return nil, err
		}
		rt.ownPool = &ownPool{p}
		rt.pool = rt.ownPool
	}
	return rt.pool, nil
}

// closePool ends the runtime's own pool. Work that does not end is left behind
// after a while: nobody can stop a goroutine that does not want to.
func (rt *Runtime) closePool() {
	rt.mu.Lock()
	p := rt.ownPool
	rt.ownPool = nil
	rt.mu.Unlock()
	if p != nil {
		p.ants.ReleaseTimeout(rt.cfg.CloseTimeout)
	}
}
