package sched

import (
	"errors"
	"fmt"
)

// What a Scheduler answers. They come wrapped, with what they are about.
var (
	ErrConfig = errors.New("sched: bad configuration")
	ErrName   = errors.New("sched: name in use")

	// ErrFull: there are as many tasks as may be (Config.Tasks).
	ErrFull = errors.New("sched: full")

	// ErrQueueFull: as many runs wait in the queue as may.
	ErrQueueFull = errors.New("sched: queue full")

	// ErrGone: the task has been cancelled or has nothing left to do.
	ErrGone = errors.New("sched: task is gone")

	// ErrOverlap: the job's policy lets no other run begin now.
	ErrOverlap = errors.New("sched: runs already")

	ErrClosed = errors.New("sched: closed")
)

// ErrPermanent, wrapped in what a body returns, says that trying again is no use.
var ErrPermanent = errors.New("sched: permanent")

// Causes of the end of a run's context (context.Cause), besides ErrLost,
// ErrClosed and those of its parent.
var (
	ErrTimeout   = errors.New("sched: time is up")        // Timeout or Deadline
	ErrCancelled = errors.New("sched: task cancelled")    // Task.Cancel
	ErrReplaced  = errors.New("sched: a newer run waits") // CancelOther
)

// PanicError is what a try ended with whose body panicked, or the Guard or State
// that was asked before it. Its line in the ledger has what it says, and the stack.
type PanicError struct {
	Value any // ErrGoexit if the body called runtime.Goexit
	Stack []byte
}

// ErrGoexit is the Value of a PanicError of a body that ended its goroutine.
var ErrGoexit = errors.New("sched: body called runtime.Goexit")

// Error says what the value was. The stack is in Stack.
func (e *PanicError) Error() string { return fmt.Sprintf("sched: panic: %v", e.Value) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// OrphansError is what Close returns when bodies did not end although their
// context had: their goroutines are left behind.
type OrphansError struct {
	Jobs []string // a name for each, the empty one for jobs without
}

// Error names them.
func (e *OrphansError) Error() string {
	return fmt.Sprintf("sched: %d runs ignore the end of their context: %q", len(e.Jobs), e.Jobs)
}

// config is an ErrConfig with what is wrong.
func config(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
}
