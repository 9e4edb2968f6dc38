package idem

import (
	"context"
	"time"
)

// A Store keeps records and changes each of them atomically. Its methods may be
// called from any goroutine. package idemtest tests whether a Store is one.
//
// An error means that it is not known whether the change was made: the server
// could not be asked, or its answer was lost. Every method may be sent again
// with the same arguments until there is an answer; what was done already is
// not done twice. An error that wraps ErrRefused is different: nothing was
// changed, and sending again will not help.
//
// Where the rules of Record are applied is up to the Store. One that reads and
// writes a record in a transaction calls Record's methods; a server with
// scripts has them written out there.
type Store interface {
	// Begin asks for the record of that name.
	Begin(ctx context.Context, name string, c Claim) (Grant, error)

	// Renew extends the lease of a record, and changes its step if there is one.
	Renew(ctx context.Context, name string, h Hold, r Renewal) (Verdict, error)

	// Finish ends the owner's time with the record.
	Finish(ctx context.Context, name string, h Hold, f Final) (Verdict, error)

	// Resolve ends a record that nobody holds, by the decision of a person who
	// has seen it at that version.
	Resolve(ctx context.Context, name string, version uint64, f Final) (Verdict, error)

	// Lookup returns the record as it is. There is none: State is Absent.
	Lookup(ctx context.Context, name string) (Record, error)
}

// State is what is known about the effect.
type State byte

const (
	Absent   State = 0   // nothing is known: no record
	Running  State = 'P' // an owner is at it, or was when it died
	Done     State = 'D' // it happened
	Failed   State = 'F' // it surely did not and will not: a final answer
	Unknown  State = 'U' // nobody knows, and a person has to decide
	Released State = 'R' // it surely did not happen, and may be tried again
)

// String returns the state in a word.
func (s State) String() string {
	switch s {
	case Absent:
		return "absent"
	case Running:
		return "running"
	case Done:
		return "done"
	case Failed:
		return "failed"
	case Unknown:
		return "unknown"
	case Released:
		return "released"
	}
	return "invalid"
}

// Claim is who asks for a record, and what it is for.
type Claim struct {
	Owner    Owner
	Print    Print
	Lease    time.Duration // how long the owner may be silent
	Retain   time.Duration // how long the record is kept after it was last touched
	Attempts int           // owners that may die before a person is asked
}

// Answer says what became of a Claim.
type Answer byte

const (
	New      Answer = iota + 1 // the record is yours: nobody had it, or it was released
	Takeover                   // the record is yours: its owner died
	Busy                       // somebody holds it, for Left more at most if he does not renew
	IsDone                     // Result is there
	IsFailed                   // Result says why
	IsUnknown
	Stuck    // too many owners died
	Mismatch // the record is of another request
	Late     // this owner has let the record go before: the claim was on its way too long
)

// Grant answers a Claim. Step and Result are the caller's.
type Grant struct {
	Answer  Answer
	Resent  bool // New or Takeover was granted before to the same owner, and the lease was renewed
	Version uint64
	Fence   uint64
	Attempt int           // owners since the record was new or released, this one included
	Left    time.Duration // of a Busy record's lease
	Step    []byte        // how far an owner said it was
	Result  []byte
}

// Hold is an owner's proof that a record is his.
type Hold struct {
	Owner Owner
	Fence uint64 // 0: whatever it is; the owner has not had an answer to his Claim
}

// Renewal is what Renew changes.
type Renewal struct {
	Lease  time.Duration // from now. 0 gives the lease up: the next claim takes over
	Retain time.Duration
	Step   []byte // nil: as it was
	StepNo int    // of this owner's steps, from 1: one that arrives after a later one is not taken
}

// Final is how a record ends. To a Resolve, Print does not matter.
type Final struct {
	State  State // Done, Failed, Unknown or Released
	Result []byte
	Retain time.Duration // an Unknown record is kept until it is resolved
	Print  Print         // for a record that has gone
}

// Verdict says what became of a Renew, Finish or Resolve.
type Verdict byte

const (
	OK       Verdict = iota + 1
	Healed           // the record had gone, though it was not over, and was written anew: somebody may have done it again
	Lost             // the record is another owner's, or has gone: nothing was changed
	Conflict         // the record has ended otherwise: nothing was changed
)

// String returns the verdict in a word.
func (v Verdict) String() string {
	switch v {
	case OK:
		return "ok"
	case Healed:
		return "healed"
	case Lost:
		return "lost"
	case Conflict:
		return "conflict"
	}
	return "invalid"
}
