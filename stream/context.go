package stream

import (
	"context"
	"time"

	"github.com/weir-go/weir/timer"
)

// callContext is a call as a context.Context. It needs no goroutine, also where
// other contexts are derived from it.
type callContext call

type afterFunc struct{ f func() }

type streamKey struct{}

// FromContext returns the stream whose Context ctx is, or comes from; nil if it
// is none's.
func FromContext(ctx context.Context) *Stream {
	st, _ := ctx.Value(streamKey{}).(*Stream)
	return st
}

// lock returns the call that the stream has now, with its mu held.
func (x *callContext) lock() *call {
	c := (*call)(x)
	c.mu.Lock()
	if !c.left {
		return c
	}
	c.mu.Unlock()
	return c.st.lockCall()
}

// Deadline returns when the call's time is up.
func (x *callContext) Deadline() (time.Time, bool) {
	c := (*call)(x)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.until, !c.until.IsZero()
}

// Done returns a channel that is closed when the stream has ended.
func (x *callContext) Done() <-chan struct{} {
	c := x.lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.over != nil {
			close(c.done)
		}
	}
	return c.done
}

// Err returns nil as long as the stream goes on.
func (x *callContext) Err() error {
	c := x.lock()
	defer c.mu.Unlock()
	switch {
	case c.over == nil:
		return nil
	case c.over.Code == DeadlineExceeded && !c.until.IsZero():
		return context.DeadlineExceeded
	}
	return context.Canceled
}

// Value knows the stream, for FromContext.
func (x *callContext) Value(key any) any {
	if key == (streamKey{}) {
		return x.st
	}
	return nil
}

// AfterFunc is what package context looks for in contexts that it did not make,
// so that a derived one needs no goroutine to wait for this one.
func (x *callContext) AfterFunc(f func()) (stop func() bool) {
	a := &afterFunc{f}
	c := x.lock()
	defer c.mu.Unlock()
	if c.over != nil {
		go f()
		return func() bool { return false }
	}
	if c.after == nil {
		c.after = make(map[*afterFunc]struct{})
	}
	c.after[a] = struct{}{}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, there := c.after[a]
		delete(c.after, a)
		return there
	}
}

// deadline is the timer of a stream that has a grpc-timeout.
type deadline struct {
	timer timer.Timer // the loop's
	st    *Stream
	when  timer.Time // as the loop counts; never changes, as until
	until time.Time
}

// setDeadline begins to count.
func (st *Stream) setDeadline(d time.Duration) {
	l := st.sess.link
	x := &deadline{st: st, when: l.Now().Add(d), until: time.Now().Add(d)}
	x.timer.Init(x)
	l.SetTimer(&x.timer, x.when)
	st.deadline = x
}

func (st *Stream) stopDeadline() {
	if d := st.deadline; d != nil {
		st.sess.link.StopTimer(&d.timer)
	}
}

// Fire ends the stream.
func (d *deadline) Fire(timer.Time) {
	st := d.st
	s := st.sess
	s.begin()
	s.tally.expired++
	st.cut(statusDeadline)
	s.flush()
}
