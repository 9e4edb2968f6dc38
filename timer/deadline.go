package timer

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// WithDeadline is context.WithDeadline with the deadline in the clock's heap:
// the context ends when d has come, when cancel is called, or when the parent
// ends. Contexts derived from it end with it, by whatever package they were
// made. When the clock is closed before, the context ends as if it was
// cancelled, with ErrClockClosed as its cause; one that is made afterwards has
// ended. Where the parent's deadline is before d it stands for this one, as in
// package context, and the clock has no part in it.
//
// One difference: when the parent is cancelled, Err and Done know it at once,
// but a channel that Done returned earlier is closed a moment later, by another
// goroutine, as with every context that package context did not make.
func (c *Clock) WithDeadline(parent context.Context, d time.Time) (context.Context, context.CancelFunc) {
	return c.WithDeadlineCause(parent, d, nil)
}

// WithTimeout is WithDeadline for the present plus d.
func (c *Clock) WithTimeout(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return c.WithDeadline(parent, time.Now().Add(d))
}

// WithTimeoutCause is WithDeadlineCause for the present plus d.
func (c *Clock) WithTimeoutCause(parent context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	return c.WithDeadlineCause(parent, time.Now().Add(d), cause)
}

// WithDeadlineCause is WithDeadline with a cause for when the deadline has
// passed. The cancel function sets none.
func (c *Clock) WithDeadlineCause(parent context.Context, d time.Time, cause error) (context.Context, context.CancelFunc) {
	if at, ok := parent.Deadline(); ok && at.Before(d) {
		return context.WithCancel(parent) // the parent's comes first
	}
	inner, tell := context.WithCancelCause(parent)
	x := &deadline{Context: inner, tell: tell, at: d, after: cause}
	x.shard = c.pick(&x.timer)
	x.timer.Init(x)
	below, end := context.WithCancel(x)
	_ = end // x.ends does it, and says why
	ctx := &timed{below, x}
	x.mu.Lock()
	x.leave = context.AfterFunc(inner, x.follow)
	x.mu.Unlock()
	left := time.Until(d)
	switch {
	case left <= 0:
		x.cancel(context.DeadlineExceeded, cause)
	case !x.shard.arm(&x.timer, min(x.shard.now().Add(left), Never-1)):
		x.cancel(context.Canceled, ErrClockClosed)
	case inner.Err() != nil: // before the timer was set, so that nobody stopped it
		x.follow()
		x.shard.stop(&x.timer)
	}
	return ctx, func() { x.cancel(context.Canceled, nil) }
}

// timed is what the caller has: package context's own, which takes part in its
// tree, and the deadline that ends it.
//
//	parent ◄── inner ◄── deadline ◄── below ◄── contexts made from it
//	           cause     why           timed
//
// The contexts of package context know no end but being cancelled, and would
// hand context.Canceled to those below them. So there is one between that is not
// of its kind: below asks it why it ended (AfterFunc, Err), and inner keeps the
// cause, for context.Cause looks for it in its own kind and nowhere else.
type timed struct {
	context.Context // below
	x               *deadline
}

func (t *timed) Deadline() (time.Time, bool) { return t.x.at, true }

func (t *timed) Done() <-chan struct{} {
	t.x.follow()
	return t.Context.Done()
}

func (t *timed) Err() error {
	t.x.follow()
	return t.Context.Err()
}

// String keeps fmt from reading the fields, which others change.
func (t *timed) String() string {
	return fmt.Sprintf("%v.WithDeadline(%s [%s])", t.x.Context, t.x.at, time.Until(t.x.at))
}

// deadline ends a context at an instant.
type deadline struct {
	context.Context // inner
	tell            context.CancelCauseFunc
	at              time.Time
	shard           *shard
	timer           Timer
	after           error       // the cause when the deadline has passed
	leave           func() bool // do not follow inner any more
	ends            func()      // end below

	mu  sync.Mutex
	err error
}

// open is the Done of all that end by AfterFunc. It is not inner's, which makes
// package context ask the deadline instead of inner.
var open = make(chan struct{})

func (x *deadline) Done() <-chan struct{} { return open }

func (x *deadline) Err() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.err
}

// AfterFunc is how package context follows a context that is not its own (see
// context.AfterFunc). It is called once, by below, before anything can end.
func (x *deadline) AfterFunc(f func()) (stop func() bool) {
	x.ends = f
	return func() bool { return false }
}

// follow ends the context if the parent has ended.
func (x *deadline) follow() {
	if err := x.Context.Err(); err != nil {
		x.cancel(err, nil)
	}
}

// cancel ends the context; who is first says why. Who is not waits for him: no
// timer is set when it returns.
func (x *deadline) cancel(err, cause error) {
	if cause == nil {
		cause = err
	}
	x.mu.Lock()
	if x.err == nil {
		x.err = err
		x.leave()
		x.tell(cause) // changes nothing if it was the parent
		x.shard.stop(&x.timer)
	}
	x.mu.Unlock()
	x.ends()
}

// Fire collects the context. For its shard.
func (x *deadline) Fire(Time) { x.shard.due = append(x.shard.due, x) }

// run ends the context, its time has come.
func (x *deadline) run() {
	x.shard.clock.count.fired.Add(1)
	x.cancel(context.DeadlineExceeded, x.after)
}

// end ends the context with its clock.
func (x *deadline) end() { x.cancel(context.Canceled, ErrClockClosed) }
