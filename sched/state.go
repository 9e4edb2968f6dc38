package sched

import (
	"context"
	"errors"
)

// ErrStale is what a State answers when an instant has been begun already, or a
// later one, or when a Mark is not the newest of its job.
var ErrStale = errors.New("sched: state is newer")

// A Mark is how far a job came: the last instant whose run was begun, or, before the
// first one, when the job was added.
type Mark struct {
	Job     string
	Instant Instant // 0: not known
	Fence   uint64  // rises with each Begin and Note of the job, also across Forget
	Ended   bool    // the run came to an end, well or not; else it may have been cut off
}

// A State remembers marks across the end of the process, kill -9 included. Its
// methods may be called from any goroutine. The End of a run that was given up may
// come beside or after the Begin of a later one of the job, and is ErrStale then.
// What was acknowledged is kept. An error other than ErrStale means that it is not
// known whether the change was made.
//
//	Note ──► on disk: from here on what is due and finds nobody is missed
//	Load ──► what is due since the mark is missed: the job's Misfire says what now
//	            a mark that has not Ended: the job's Crash says whether to run again
//	Begin ──► on disk ──► the body ──► End
//
// Package schedtest tests whether a State is one.
type State interface {
	// Load returns the mark of a job; one with Instant 0 if there is none.
	Load(ctx context.Context, job string) (Mark, error)

	// Note writes a mark of a job that has none: at that instant, and ended, as if a
	// run of it had come to its end then. It returns the mark that there is now.
	Note(ctx context.Context, job string, at Instant) (Mark, error)

	// Begin writes that the run of this instant is about to begin, and returns
	// the mark with its fence. The instant is after that of the last mark, or
	// equal to it if that has not Ended: the same run once more. Otherwise
	// ErrStale, and nothing is changed.
	Begin(ctx context.Context, job string, at Instant) (Mark, error)

	// End writes that the run of a mark that Begin returned is over. ErrStale if
	// it is not the newest one of its job. A second End of the same is no error.
	End(ctx context.Context, m Mark) error

	// Forget removes what is known about a job that is not there any more, but
	// for the fence. No error if nothing is.
	Forget(ctx context.Context, job string) error
}
