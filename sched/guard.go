package sched

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrTaken is what a Guard answers when a run is somebody else's: he is at it, or
// it has been run. The run is not to be started here.
var ErrTaken = errors.New("sched: run taken by another")

// A HeldError is an ErrTaken by who is at the run now and may die over it: it is worth
// asking again, when what is left of his hold is over. The Scheduler does, as long as
// nothing newer is due of the job, and as long as it is not closed.
type HeldError struct {
	Left time.Duration // of the hold, if he is not heard of
}

// Error says so.
func (e *HeldError) Error() string { return fmt.Sprintf("%v: held for %v more", ErrTaken, e.Left) }

// Unwrap returns ErrTaken.
func (e *HeldError) Unwrap() error { return ErrTaken }

// ErrLost says that a hold is over without having been ended: another may be at
// the run by now. It is the cause of the run's context then.
var ErrLost = errors.New("sched: hold lost")

// A Guard is how several replicas of a program agree who executes a run. Every
// one of them fires at every instant and asks; one is told yes.
//
//	replica 1  due ── Hold(k) ── fence 7 ── body ── End(ran) ──► nobody runs k again
//	replica 2  due ── Hold(k) ── ErrTaken ──► a line in the ledger: skipped, taken
//	replica 3  due ── Hold(k) ── HeldError ── waits, and asks again: if 1 has died it is his
//
// Its methods may be called from any goroutine. Package schedtest tests whether
// a Guard is one.
type Guard interface {
	// Hold claims the run of this Key. ErrTaken says that another holds it or
	// has run it, a *HeldError that he holds it and may lose it; any other error that it is not known who does, and then it is
	// not run here. lost is called at most once, on any goroutine, and never
	// from inside Hold or after End has returned, when the hold can no longer be
	// vouched for; it must not block. A Guard that cannot lose a hold never
	// calls it.
	//
	// A run whose holder died without End may be held again once its hold has
	// run out; how long that takes is the Guard's configuration.
	Hold(ctx context.Context, k Key, lost func(error)) (Held, error)
}

// Held is a hold on a run. It belongs to the one who asked, until End.
type Held interface {
	// Fence is a number that is higher than that of every hold that was granted
	// before for the same job. What the body changes elsewhere can refuse one
	// that is lower than what it has seen.
	Fence() uint64

	// End gives the hold back, once. ran: the run is over for good and nobody
	// holds its Key again as long as the Guard remembers. Otherwise its body has
	// surely not been called, and it is free. ErrLost: it was not held any more.
	End(ctx context.Context, ran bool) error
}
