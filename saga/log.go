package saga

import "context"

// A Log keeps records. Its methods may be called from any goroutine. What they
// have acknowledged outlives the process, if the Log is to. package sagatest
// tests whether a Log is one.
//
// An error other than those of this package means that it is not known whether
// the change was made. A Log keeps copies, and gives copies away.
type Log interface {
	// Create writes a record with an ID that is not there: ErrExists if it is,
	// ErrFull if there are as many as may be.
	Create(ctx context.Context, r *Record) error

	// Write replaces the record of that ID if it has this version and fence;
	// ErrConflict and ErrNotFound say that it does not and nothing was changed.
	Write(ctx context.Context, r *Record, version, fence uint64) error

	// Load returns the record of that ID, or ErrNotFound.
	Load(ctx context.Context, id string) (Record, error)

	// Open returns up to n IDs above that one, in ascending order, of records
	// that have not ended. "" is below all.
	Open(ctx context.Context, above string, n int) ([]string, error)

	// Forget removes up to n records that ended before that time, in
	// nanoseconds since 1970, the oldest first, and returns how many. See
	// Runner.Forget for when that is right.
	Forget(ctx context.Context, before int64, n int) (int, error)
}
