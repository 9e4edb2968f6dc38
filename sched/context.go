package sched

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A runContext is the context of a try. Most bodies are short and never look at
// theirs, so that what it takes to tell others of its end is made when somebody
// asks for it:
//
//	runContext ── Done, Value ──► package context's own, made once
//	    ▲                              ▲
//	  end(cause) ──────────────────────┘
//
// From then on contexts derived from it are in package context's tree. It is not
// below its parent there: the parent's end comes through the group of the task.
type runContext struct {
	parent context.Context // for its values and its deadline
	until  int64           // its own deadline, nanoseconds since 1970, 0 for none

	mu     sync.Mutex
	cause  error // why it ended, nil as long as it has not
	real   context.Context
	cancel context.CancelCauseFunc
}

// end ends it, once.
func (c *runContext) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return
	}
	c.cause = cause
	if c.real != nil {
		c.cancel(cause)
	}
}

// why returns the cause of its end, nil as long as it has not ended.
func (c *runContext) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// made returns package context's.
func (c *runContext) made() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real == nil {
		c.real, c.cancel = context.WithCancelCause(context.WithoutCancel(c.parent))
		if c.cause != nil {
			c.cancel(c.cause)
		}
	}
	return c.real
}

// Deadline is the earlier one of the try's and the parent's.
func (c *runContext) Deadline() (time.Time, bool) {
	end, any := c.parent.Deadline()
	if own := time.Unix(0, c.until); c.until != 0 && (!any || own.Before(end)) {
		return own, true
	}
	return end, any
}

func (c *runContext) Done() <-chan struct{} { return c.made().Done() }

// Err is what package context says: of a deadline, too, which contexts derived
// from this one do not know of; their Cause is ErrTimeout.
func (c *runContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.cause == nil:
		return nil
	case errors.Is(c.cause, ErrTimeout) || errors.Is(c.cause, context.DeadlineExceeded):
		return context.DeadlineExceeded
	}
	return context.Canceled
}

func (c *runContext) Value(key any) any { return c.made().Value(key) }
