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
// ended.
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

// WithDeadlineCause is WithDeadline with a cause for when the deadline has
// passed. The cancel function sets none.
func (c *Clock) WithDeadlineCause(parent context.Context, d time.Time, cause error) (context.Context, context.CancelFunc) {
	if at, ok := parent.Deadline(); ok && at.Before(d) {
		return context.WithCancel(parent) // the parent's comes first
	}
	below, tell := context.WithCancelCause(parent)
	x := &deadline{Context: below, tell: tell, at: d, after: cause}
	x.shard = c.pick(&x.timer)
	x.timer.Init(x)
	x.mu.Lock()
	x.leave = context.AfterFunc(below, x.follow)
	x.mu.Unlock()
	left := time.Until(d)
	switch {
	case left <= 0:
		x.cancel(context.DeadlineExceeded, cause)
	case !x.shard.arm(&x.timer, min(x.shard.now().Add(left), Never-1)):
		x.cancel(context.Canceled, ErrClockClosed)
	case below.Err() != nil: // before the timer was set, so that nobody stopped it
		x.follow()
		x.shard.stop(&x.timer)
	}
	return x, func() { x.cancel(context.Canceled, nil) }
}

// deadline is a context that ends at an instant.
//
//	parent ◄── below ◄── deadline ◄── contexts made from it
//
// The contexts of package context know no end but being cancelled, and would
// hand context.Canceled to those below them. So this one has a Done of its own,
// which makes package context ask it (AfterFunc) instead of the next of its own
// kind above. That one, below, is there to keep the cause: context.Cause looks
// for it there and nowhere else.
type deadline struct {
	context.Context // below
	tell            context.CancelCauseFunc
	at              time.Time
	shard           *shard
	timer           Timer
	after           error       // the cause when the deadline has passed
	leave           func() bool // do not follow below any more

	mu   sync.Mutex
	done chan struct{} // made when somebody asks
	err  error
	ends map[*ending]struct{}
}

// ending is a function that waits for the context's end.
type ending struct{ f func() }

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// String keeps fmt from reading the fields, which others change.
func (x *deadline) String() string {
	return fmt.Sprintf("%v.WithDeadline(%s [%s])", x.Context, x.at, time.Until(x.at))
}

func (x *deadline) Deadline() (time.Time, bool) { return x.at, true }

func (x *deadline) Done() <-chan struct{} {
	x.follow()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.done == nil {
		x.done = make(chan struct{})
		if x.err != nil {
			x.done = closedChan
		}
	}
	return x.done
}

func (x *deadline) Err() error {
	x.follow()
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.err
}

// AfterFunc is how package context follows a context that is not its own (see
// context.AfterFunc): it needs no goroutine to wait for Done. f is called on
// the goroutine that ends the context, and is short.
func (x *deadline) AfterFunc(f func()) (stop func() bool) {
	e := &ending{f}
	x.mu.Lock()
	if x.err != nil {
		x.mu.Unlock()
		go f()
		return func() bool { return false }
	}
	if x.ends == nil {
		x.ends = map[*ending]struct{}{}
	}
	x.ends[e] = struct{}{}
	x.mu.Unlock()
	return func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		_, waits := x.ends[e]
		delete(x.ends, e)
		return waits
	}
}

// follow ends the context if the parent has ended.
func (x *deadline) follow() {
	if err := x.Context.Err(); err != nil {
		x.cancel(err, nil)
	}
}

// cancel ends the context; who is first says why.
func (x *deadline) cancel(err, cause error) {
	if cause == nil {
		cause = err
	}
	x.mu.Lock()
	if x.err != nil {
		x.mu.Unlock()
		return
	}
	x.err = err
	x.leave()
	x.tell(cause) // changes nothing if it was the parent
	if x.done == nil {
		x.done = closedChan
	} else {
		close(x.done)
	}
	ends := x.ends
	x.ends = nil
	x.mu.Unlock()
	for e := range ends {
		e.f()
	}
	x.shard.stop(&x.timer)
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
