package saga

import (
	"errors"
	"fmt"
)

// What a Runner answers when it does not answer with an Outcome. They come
// inside an *Error that names the saga.
var (
	ErrConfig     = errors.New("saga: bad configuration")
	ErrID         = errors.New("saga: bad id") // empty, too long, or not UTF-8
	ErrTooLarge   = errors.New("saga: too large")
	ErrUndefined  = errors.New("saga: no such definition")
	ErrDefinition = errors.New("saga: begun with another definition") // its steps are not those of now
	ErrMismatch   = errors.New("saga: id used for another input")

	// ErrBusy: this Runner is at that saga already. ErrOpen: it was begun
	// before and has not ended; Recover and Resume go on with it.
	ErrBusy = errors.New("saga: in progress")
	ErrOpen = errors.New("saga: begun before and not ended")

	// ErrFull: as many sagas run, as many calls that do not end are left
	// behind, or as many records are in the Log, as may be.
	ErrFull = errors.New("saga: full")

	// ErrLost: another Runner has taken the saga over. This one has let go.
	ErrLost = errors.New("saga: lost to another owner")

	// ErrLog: the Log did not take a record, or it is not known whether it did.
	// If the saga was begun it stays as it was last written; Recover and Resume
	// go on with it.
	ErrLog = errors.New("saga: log does not answer")

	// ErrClosed: the Runner is closed. A saga that it was at stays open.
	ErrClosed = errors.New("saga: closed")
)

// Errors of a Log, which wraps them.
var (
	ErrExists   = errors.New("saga: record exists")
	ErrNotFound = errors.New("saga: no such record")
	ErrConflict = errors.New("saga: record has changed") // version or fence are not those it has; nothing was changed
	ErrRecord   = errors.New("saga: bad record")
)

// Error is what became of a call, with the saga that it was about.
type Error struct {
	ID    string
	Err   error // one of the errors above, a *TransitionError, or a context's
	Cause error // what the Log or a context said, or nil
}

// Error says what and why.
func (e *Error) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("%v: %q", e.Err, e.ID)
	}
	return fmt.Sprintf("%v: %q: %v", e.Err, e.ID, e.Cause)
}

// Unwrap gives errors.Is and errors.As both the outcome and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

// TransitionError says that an Event does not fit a Record, which was not
// changed.
type TransitionError struct {
	Event Kind
	Saga  State
	Step  int       // of the Event; -1: none, or not one of the saga's
	State StepState // of that step
}

// Error says what was tried.
func (e *TransitionError) Error() string {
	if e.Step < 0 {
		return fmt.Sprintf("saga: illegal transition: %s of a saga that is %s", e.Event, e.Saga)
	}
	return fmt.Sprintf("saga: illegal transition: %s of step %d, which is %s, of a saga that is %s", e.Event, e.Step, e.State, e.Saga)
}
