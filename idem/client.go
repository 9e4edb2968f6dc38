package idem

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// Client does things once. Only Store must be set; nothing may be changed after
// the first call. Its methods may be called from any goroutine. It has no
// goroutines of its own that outlive a call, and needs no closing.
type Client struct {
	Store Store

	MaxRequest int // bytes of a request. 0: 1 MiB
	MaxResult  int // bytes of a result that are kept, of a step, of a Failure's reason. 0: 64 KiB
	MaxWaiters int // calls that may wait for busy keys at once; the others get ErrBusy. 0: 1024

	// Try is how long the Store may take to answer once, and Patience how long
	// it is asked again, in all. 0: 1 s, and 5 s. A call's context ends both,
	// but not the telling of a result, which goes on after the caller has left.
	Try      time.Duration
	Patience time.Duration

	counters
}

// Reply is what Do gives, of this call's fn or of an earlier one.
type Reply struct {
	Result    []byte
	Replayed  bool   // another call's fn made it
	Unguarded bool   // fn ran without a record (Policy.FailOpen)
	Version   uint64 // of the record; 0 when Unguarded
	Fence     uint64
}

// Func does what is to be done once. It runs on the goroutine that called Do.
// ctx ends with the caller's, and before the lease can: what is started after
// that may be done by two. What the result and errors mean stands at the top of
// the package. The result is the caller's.
type Func func(ctx context.Context, a *Attempt) ([]byte, error)

// Do runs fn, unless it was run under key before, in which case it returns what
// came of that. request is what was asked for, fingerprinted so that the same
// key with another request is refused; it is not stored.
//
// Errors: those of this package, in an *Error; a *Failure; what fn returned,
// alone if it was marked Transient, and in an *Error of ErrUnknown if not; and
// ctx's. With ErrLost, ErrConflict and ErrUnrecorded fn has succeeded, and the
// Reply holds its result.
func (c *Client) Do(ctx context.Context, key Key, request []byte, p Policy, fn Func) (Reply, error) {
	j := &job{client: c, key: key, fn: fn}
	if err := j.check(request, p); err != nil {
		return Reply{}, err
	}
	defer j.leaveQueue()
	for lost := 0; lost < 10; {
		j.claim.Owner = newOwner()
		g, sent, err := j.begin(ctx)
		if err != nil {
			return j.unreachable(ctx, err)
		}
		switch g.Answer {
		case New, Takeover:
			reply, err := j.hold(ctx, g, sent)
			if err != errAgain {
				return reply, err
			}
			lost++
		case Busy:
			if err := j.wait(ctx, g); err != nil {
				return Reply{}, err
			}
		case Late: // only if the store took this owner for another
			lost++
		default:
			return j.settled(g)
		}
	}
	return j.unreachable(ctx, errAgain)
}

// job is one call of Do.
type job struct {
	client *Client
	key    Key
	name   string
	policy Policy
	claim  Claim
	fn     Func
	waits  int  // times the key was found busy
	queued bool // among those who wait
	ran    bool // fn was run
}

// check finds what is wrong before anything is asked of the store.
func (j *job) check(request []byte, p Policy) (err error) {
	c := j.client
	if c.Store == nil {
		return ErrNoStore
	}
	if j.name, err = j.key.Name(); err != nil {
		return err
	}
	if j.policy, err = p.filled(); err != nil {
		return err
	}
	if limit := or(c.MaxRequest, 1<<20); len(request) > limit {
		return fmt.Errorf("%w: request of %d bytes, limit %d", ErrTooLarge, len(request), limit)
	}
	p = j.policy
	j.claim = Claim{Print: Fingerprint(request), Lease: p.Lease, Retain: p.Retain, Attempts: p.Attempts}
	return nil
}

// settled answers from a record that needs no owner.
func (j *job) settled(g Grant) (Reply, error) {
	c := j.client
	switch g.Answer {
	case IsDone:
		c.replayed.Add(1)
		result, kept := unframe(g.Result)
		r := Reply{Result: result, Replayed: true, Version: g.Version, Fence: g.Fence}
		if !kept {
			return r, j.error(ErrNotKept, g, nil)
		}
		return r, nil
	case IsFailed:
		c.replayed.Add(1)
		reason, _ := unframe(g.Result)
		return Reply{Replayed: true, Version: g.Version, Fence: g.Fence},
			&Failure{Reason: string(reason), Replayed: true}
	case IsUnknown:
		c.unknown.Add(1)
		return Reply{}, j.error(ErrUnknown, g, nil)
	case Stuck:
		c.stuck.Add(1)
		return Reply{}, j.error(ErrStuck, g, nil)
	case Mismatch:
		c.mismatched.Add(1)
		return Reply{}, j.error(ErrMismatch, g, nil)
	}
	return Reply{}, j.error(ErrUnavailable, g, fmt.Errorf("idem: store answered %d", g.Answer))
}

func (j *job) error(err error, g Grant, cause error) *Error {
	return &Error{Key: j.key, Err: err, Left: g.Left, Step: g.Step, Version: g.Version, Cause: cause}
}

// unreachable is the end of a call whose claim got no answer.
func (j *job) unreachable(ctx context.Context, cause error) (Reply, error) {
	c := j.client
	if ctx.Err() == nil && j.policy.FailOpen && !errors.Is(cause, ErrRefused) {
		c.unguarded.Add(1)
		c.ran.Add(1)
		result, err := j.fn(ctx, &Attempt{job: j, Key: j.key, Number: 1})
		if t, marked := err.(*transient); marked {
			err = t.error
		}
		return Reply{Result: result, Unguarded: true}, err
	}
	c.unavailable.Add(1)
	return Reply{}, j.error(ErrUnavailable, Grant{}, cause)
}

func newOwner() (o Owner) {
	rand.Read(o[:]) // never fails
	return o
}

// A result in a record begins with a byte that says whether it is there.
const (
	whole   = 0
	omitted = 1
)

// frame returns what is stored for a result.
func (c *Client) frame(result []byte) []byte {
	if len(result) > or(c.MaxResult, 64<<10) {
		c.omitted.Add(1)
		return []byte{omitted}
	}
	return append([]byte{whole}, result...)
}

func unframe(b []byte) (result []byte, kept bool) {
	if len(b) == 0 || b[0] != whole {
		return nil, false
	}
	return b[1:], true
}

// or returns n, or what it is when not set.
func or[T int | time.Duration](n, unset T) T {
	if n > 0 {
		return n
	}
	return unset
}
