package idem

import (
	"errors"
	"fmt"
	"time"
)

// Before anything was asked of the Store.
var (
	ErrNoStore  = errors.New("idem: client without a store")
	ErrNoChoice = errors.New("idem: policy does not say what to do when an owner died")
	ErrPolicy   = errors.New("idem: policy cannot be kept") // a negative duration, retention shorter than the lease
	ErrKey      = errors.New("idem: bad key")
	ErrTooLarge = errors.New("idem: too large") // the request or a step
)

// What Do answers when it does not answer with a result. They come inside an
// *Error that says more.
var (
	// ErrBusy: somebody else is at it. Nothing was done here.
	ErrBusy = errors.New("idem: in progress")
	// ErrMismatch: the key was used for another request.
	ErrMismatch = errors.New("idem: key used for another request")
	// ErrUnknown: it may have happened or not, and a person has to look
	// (Client.Resolve); or this call's own fn left it unknown, in which case
	// Policy.Unknown decides at the next one.
	ErrUnknown = errors.New("idem: effect unknown")
	// ErrStuck: as many owners died as may. A person has to look.
	ErrStuck = errors.New("idem: stuck after too many attempts")
	// ErrLost: fn has run, and when it ended another owner had taken over:
	// it may have been done twice.
	ErrLost = errors.New("idem: lost to another owner")
	// ErrConflict: fn has run, and when it ended the record had been ended
	// otherwise, by a person. From Resolve: the record is not what the
	// decision was made on.
	ErrConflict = errors.New("idem: record has ended otherwise")
	// ErrUnavailable: the Store did not answer in time. fn has not run.
	ErrUnavailable = errors.New("idem: store does not answer")
	// ErrUnrecorded: fn has run, and the Store did not answer when told. The
	// Reply is valid, but nobody else will get it: to the next caller the
	// effect is unknown.
	ErrUnrecorded = errors.New("idem: result not recorded")
	// ErrNotKept: it was done, by another call, and its result was too large
	// to be kept.
	ErrNotKept = errors.New("idem: result was not kept")
)

// Errors of a Store.
var (
	// ErrRefused says that nothing was changed and that sending again will not
	// help. A Store wraps it.
	ErrRefused = errors.New("idem: refused by the store")
	// ErrFull is ErrRefused for want of room.
	ErrFull = fmt.Errorf("%w: full", ErrRefused)
)

// ErrFenced is the cause (context.Cause) of the end of fn's context when the
// lease could not be renewed and is about to end, or was lost.
var ErrFenced = errors.New("idem: lease is ending")

// Error is what became of a key, with what is known about it.
type Error struct {
	Key Key
	Err error // one of the errors above

	Left    time.Duration // ErrBusy: what is left of the lease
	Step    []byte        // ErrUnknown, ErrStuck: how far an owner said it was
	Version uint64        // of the record: what Resolve wants to know
	Cause   error         // what the store or fn said, or nil
}

// Error says what and why.
func (e *Error) Error() string {
	s := fmt.Sprintf("%v: %v", e.Err, e.Key)
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap gives errors.Is and errors.As both the outcome and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

// Failure is a final answer of fn that is not a result: the card was refused.
// The effect surely did not happen and trying again would not change that. It is
// stored, and whoever asks under the same key gets it. A Reason of more than
// Client.MaxResult bytes is stored cut off.
type Failure struct {
	Reason   string
	Replayed bool // by this call; the first caller has it false
}

// Error returns the reason.
func (f *Failure) Error() string { return "idem: failed: " + f.Reason }

// Transient marks an error of fn: the effect surely did not happen, and may be
// tried again under the same key. Do returns err itself.
func Transient(err error) error {
	if err == nil {
		return nil
	}
	return &transient{err}
}

type transient struct{ error }

func (t *transient) Unwrap() error { return t.error }
