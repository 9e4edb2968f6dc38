package sched

import (
	"context"
	"math"
	"time"
	"unicode/utf8"
)

// A Body is what a job does. It runs on a goroutine of the Scheduler's pool. Its
// context ends when the task, the parent, the time-out or the Scheduler do, and
// context.Cause says which; it carries the parent's values and none of ours. What
// the Scheduler knows about the run is in the Fire.
type Body func(ctx context.Context, f Fire) error

// Typed is a Body with an argument of its own type, bound now: there is no bag
// that values are looked up in by name.
func Typed[T any](arg T, do func(ctx context.Context, f Fire, arg T) error) Body {
	return func(ctx context.Context, f Fire) error { return do(ctx, f, arg) }
}

// Fire is one occasion on which a job is due.
type Fire struct {
	Job     string
	Instant Instant // when it was due

	// Missed is how many instants before this one the run also stands for,
	// because nobody was there or the job's Misfire says so; First is the first
	// of them, or Instant if there are none.
	Missed uint64
	First  Instant

	Try    int    // 1, 2, ...
	Fence  uint64 // of the Guard, else of the State, else 0
	Again  bool   // the end of the process cut this run off before
	Manual bool   // asked for by Run or Submit; Instant is when
}

// Key is the run's name: the same in every replica, and for every try.
func (f Fire) Key() Key { return Key{Job: f.Job, Instant: f.Instant} }

// A Job says what to do and how. Add copies it.
type Job struct {
	// Name is unique within the Scheduler. It may be empty for a job that is
	// neither Durable nor Guarded.
	Name string

	// Type is what metrics call it: one word for many jobs. Empty: "job".
	Type string

	// Labels go into its Info. They must not be changed afterwards.
	Labels map[string]string

	// Trigger says when. Nil: only when Task.Run is called.
	Trigger Trigger

	// Do is the body. Required.
	Do Body

	// Queue is the name of one of Config.Queues. Empty: the default queue.
	Queue    string
	Priority Priority

	// Needs are what has to be free before a run begins; they are its own until
	// it ends. So no worker is pinned waiting for a pool.
	Needs []Need

	// Timeout ends the context of a try after so long, and Deadline that of the
	// whole run so long after its instant: what has not begun by then is
	// dropped. Zero: never. A body that goes on for Grace after its context
	// ended is an orphan. Zero: 5 s.
	Timeout, Deadline, Grace time.Duration

	Retry   Retry
	Overlap Overlap
	Misfire Misfire
	Orphan  OrphanPolicy

	// Reentrant says that a run may go on beside an orphan of the same job. Else
	// its instants are skipped as long as the orphan lives, and it is not
	// tried again before that.
	Reentrant bool

	// Durable keeps in Config.State how far the job came: what was due while the
	// program was not there is missed, not forgotten, from the first Add on. Crash
	// says what becomes of a run that the end of the process cut off.
	Durable bool
	Crash   CrashPolicy

	// Guarded asks Config.Guard before each run that is not manual.
	Guarded bool
}

// Need is a number of tokens of a Resource.
type Need struct {
	Resource string
	N        int // zero: 1
}

// Priority orders runs that wait: those of a higher one begin before. So that
// none starves, every sixteenth run to begin is taken from the other end.
type Priority int8

const (
	Low    Priority = -1
	Normal Priority = 0
	High   Priority = 1
	Urgent Priority = 2
)

// levels is how many priorities there are.
const levels = int(Urgent-Low) + 1

// Retry says how often a body that failed is tried again, and when.
type Retry struct {
	Tries  int           // in all. Zero: 1
	First  time.Duration // before the second try. Zero: 1 s
	Most   time.Duration // the wait does not grow above it. Zero: 1 min
	Factor float64       // by which it grows. Zero: 2
	Jitter float64       // share of the wait by which it is longer or shorter at random, up to 1. Zero: 0.2; negative: none
}

// Overlap says what becomes of an instant that comes while a run of before has
// not ended.
type Overlap struct {
	Policy OverlapPolicy

	// Most is, for Allow, how many runs go on side by side, and for BufferAll
	// how many instants wait. Zero: 16.
	Most int

	// Grace is, for CancelOther, how long the run of before has to end. Zero:
	// the job's Grace.
	Grace time.Duration
}

// OverlapPolicy is one of those below. The zero value is SkipRunning.
type OverlapPolicy uint8

const (
	SkipRunning OverlapPolicy = iota // skip the instant
	BufferOne                        // let one wait, skip those after it
	BufferAll                        // let them wait, drop what is above Most
	CancelOther                      // end the run of before, then begin
	Allow                            // run side by side, up to Most; then skip
)

// Misfire says what becomes of instants that nobody was there for: the process
// was stopped or late, the clock was set forward, a durable job was away.
type Misfire struct {
	Policy MisfirePolicy

	// After is how late an instant may be and still be on time. Zero: a second,
	// or a tenth of the period if that is longer.
	After time.Duration

	// For CatchUp: no more than Most instants, none older than Window, and Pace
	// between the beginnings of two. Zero: 100, 1 h, no pace.
	Most   int
	Window time.Duration
	Pace   time.Duration
}

// MisfirePolicy is one of those below. The zero value is FireOnce.
type MisfirePolicy uint8

const (
	FireOnce   MisfirePolicy = iota // one run for all of them, for the last one; Fire says how many
	SkipMissed                      // none
	CatchUp                         // one run for each, in order, never two of them at once
)

// OrphanPolicy says what becomes of the place of a body that ignores the end of
// its context. The zero value is HoldSlot.
type OrphanPolicy uint8

const (
	HoldSlot    OrphanPolicy = iota // it keeps its place: never more bodies than there may be
	ReplaceSlot                     // another may begin in its place in queue and pool, up to Config.Replaced of them; what it Needs stays its own
)

// CrashPolicy says what becomes of a run of a Durable job whose beginning is on
// record and whose end is not. The zero value is LeaveCut.
type CrashPolicy uint8

const (
	LeaveCut CrashPolicy = iota // at most once: it is not run again
	RunAgain                    // at least once: it is, with Fire.Again
)

// settle fills in what was left open, and says what is wrong.
func (j *Job) settle() error {
	switch {
	case j.Do == nil:
		return config("job %q has no body", j.Name)
	case j.Name == "" && (j.Durable || j.Guarded):
		return config("a job that is durable or guarded needs a name")
	case j.Priority < Low || j.Priority > Urgent:
		return config("job %q: priority %d", j.Name, j.Priority)
	case j.Timeout < 0 || j.Deadline < 0 || j.Grace < 0 || j.Misfire.Pace < 0:
		return config("job %q: a negative duration", j.Name)
	case j.Durable && j.Overlap.Policy == Allow:
		return config("job %q: a durable job's runs begin and end in order", j.Name)
	case j.Overlap.Policy > Allow || j.Misfire.Policy > CatchUp || j.Orphan > ReplaceSlot || j.Crash > RunAgain:
		return config("job %q: no such policy", j.Name)
	case !utf8.ValidString(j.Type):
		return config("job %q: type %q is not UTF-8", j.Name, j.Type)
	case !(j.Retry.Jitter <= 1) || j.Retry.Factor != 0 && !(j.Retry.Factor >= 1 && j.Retry.Factor < math.MaxFloat64):
		return config("job %q: a retry's jitter is up to 1, its factor from 1", j.Name)
	}
	j.Type = or(j.Type, "job")
	j.Grace = or(j.Grace, 5*time.Second)
	j.Overlap.Most = max(or(j.Overlap.Most, 16), 1)
	j.Overlap.Grace = or(j.Overlap.Grace, j.Grace)
	j.Misfire.Most = max(or(j.Misfire.Most, 100), 1)
	j.Misfire.Window = or(j.Misfire.Window, time.Hour)
	return nil
}

// or is what was set, or else the default.
func or[T comparable](set, otherwise T) T {
	var zero T
	if set == zero {
		return otherwise
	}
	return set
}
