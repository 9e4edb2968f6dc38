package idem

import (
	"context"
	"fmt"
	"time"
)

// Policy says how one operation is done once. It may be shared by all calls.
type Policy struct {
	// Unknown is what to do when an owner died and nobody knows whether the
	// effect took place: Redo, Reconcile or Halt. There is no default.
	Unknown Choice

	// Wait: a call that finds the key busy waits, as long as its context
	// allows, for the result. false: it gets ErrBusy at once.
	Wait bool

	// Lease is how long an owner may be silent until it counts as dead. fn's
	// context ends after eight tenths of it without a renewal. 0: 30 s.
	Lease time.Duration

	// Retain is how long a result is replayed, and how long an owner that died
	// is remembered; after that the key is as new. At least Lease. 0: 24 h.
	Retain time.Duration

	// Attempts is how many owners may die until a call gets ErrStuck. 0: 5.
	Attempts int

	// FailOpen: when the Store does not answer, fn is run without a record
	// (Reply.Unguarded, Stats.Unguarded), and may be run twice. false: it is
	// not run, ErrUnavailable.
	FailOpen bool
}

// Choice is what to do about an effect of which nobody knows whether it took
// place. The zero Choice is none.
type Choice struct {
	how       how
	reconcile Reconciler
}

type how byte

const (
	undecided how = iota
	redo
	halt
	reconcile
)

// Redo runs fn again. Right when doing it twice is as doing it once, or when
// the place where the effect happens recognises Attempt.Key or refuses an old
// Attempt.Fence.
func Redo() Choice { return Choice{how: redo} }

// Halt leaves it to a person: the call and all after it get ErrUnknown until
// Client.Resolve.
func Halt() Choice { return Choice{how: halt} }

// Reconcile asks f whether it happened.
func Reconcile(f Reconciler) Choice {
	if f == nil {
		return Choice{}
	}
	return Choice{how: reconcile, reconcile: f}
}

// A Reconciler finds out whether the effect that a dead owner was at took
// place. It runs under the lease as fn does. An error leaves everything as it
// is: the next call asks again, until Policy.Attempts.
type Reconciler func(ctx context.Context, a *Attempt) (Finding, error)

// Finding is the answer of a Reconciler.
type Finding struct {
	kind   findingKind
	result []byte
}

type findingKind byte

const (
	cannotTell findingKind = iota
	notApplied
	applied
)

// Applied: it happened, and this is the result to store and to return.
func Applied(result []byte) Finding { return Finding{applied, result} }

// NotApplied: it did not happen, and cannot happen any more by the hand of the
// one who died. fn is run.
func NotApplied() Finding { return Finding{kind: notApplied} }

// CannotTell: a person has to look, as with Halt. It is the zero Finding.
func CannotTell() Finding { return Finding{} }

// filled returns p with its defaults.
func (p Policy) filled() (Policy, error) {
	if p.Unknown.how == undecided {
		return p, ErrNoChoice
	}
	if p.Lease < 0 || p.Retain < 0 || p.Attempts < 0 {
		return p, fmt.Errorf("%w: negative", ErrPolicy)
	}
	if p.Lease == 0 {
		p.Lease = 30 * time.Second
	}
	if p.Retain == 0 {
		p.Retain = max(24*time.Hour, p.Lease)
	}
	if p.Attempts == 0 {
		p.Attempts = 5
	}
	if p.Lease < time.Millisecond {
		return p, fmt.Errorf("%w: a lease of less than a millisecond", ErrPolicy)
	}
	if p.Retain < p.Lease {
		return p, fmt.Errorf("%w: retention is shorter than the lease", ErrPolicy)
	}
	return p, nil
}
