package sched

import (
	"errors"
	"fmt"
)

// A failure is what the error of a try said. The error's own methods are its
// author's: they are called once, where no lock is held and where their panic
// is no more than another failure; and what the error holds on to is not kept in
// the ledger with it.
type failure struct {
	text, stack string
	permanent   bool
}

// Error is what the error said.
func (f *failure) Error() string { return f.text }

// permanent reports whether the error of a try said that another is no use.
func permanent(err error) bool {
	f, ok := err.(*failure)
	return ok && f.permanent
}

// mostText is how many bytes of an error and of a stack are kept.
const mostText = 4 << 10

// note takes down what an error says, and why the try failed if it was no other
// reason than that. Not locked.
func note(err error, otherwise Reason) (why Reason, _ error) {
	f, why := new(failure), otherwise
	func() {
		defer func() {
			if v := recover(); v != nil {
				why, f.text = Panicked, clip(fmt.Sprintf("sched: panic: %v in the methods of an error, which is a %T", v, err))
			}
		}()
		f.text, f.permanent = clip(err.Error()), errors.Is(err, ErrPermanent)
		if p := (*PanicError)(nil); errors.As(err, &p) {
			f.stack = clip(string(p.Stack))
			if why == BodyFailed {
				why = Panicked
			}
		}
	}()
	return why, f
}

func clip(text string) string { return string([]byte(text[:min(len(text), mostText)])) }
