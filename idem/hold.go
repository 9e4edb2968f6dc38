package idem

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// errAgain: the record was lost before fn was run. The call starts over.
var errAgain = errors.New("idem: lost before it was used")

// Attempt is one run of a Func, or of a Reconciler, under a lease.
type Attempt struct {
	Key    Key
	Fence  uint64 // rises with each owner of the key; 0 when unguarded
	Number int    // 1 for the first owner since the key was new or released
	Taken  bool   // an owner before this one died

	// Step is what was last given to Mark, by this owner or one that died.
	Step []byte

	job   *job
	lease *lease
	marks int
}

// Mark stores how far fn is, for the next owner should this one die: call it in
// front of each part that must not be repeated blindly. It asks the store until
// there is an answer, as long as Client.Patience, and is a heartbeat besides.
// With ErrUnavailable it may or may not be stored; ErrLost and ErrConflict say
// that the record is another's, and fn should end without an effect. fn calls it
// on its own goroutine.
func (a *Attempt) Mark(ctx context.Context, step []byte) error {
	c := a.job.client
	if limit := or(c.MaxResult, 64<<10); len(step) > limit {
		return fmt.Errorf("%w: step of %d bytes, limit %d", ErrTooLarge, len(step), limit)
	}
	if a.lease == nil { // unguarded
		a.Step = step
		return nil
	}
	if step == nil {
		step = []byte{} // nil would leave the one before
	}
	a.marks++
	v, _, err := ask(ctx, c, func(ctx context.Context) (Verdict, error) {
		v, err := a.lease.renew(ctx, step, a.marks)
		if v != 0 {
			err = nil // an answer, if not the one hoped for
		}
		return v, err
	})
	switch {
	case err != nil:
		return a.job.error(ErrUnavailable, Grant{}, err)
	case v == Lost:
		return a.job.error(ErrLost, Grant{}, nil)
	case v == Conflict:
		return a.job.error(ErrConflict, Grant{}, nil)
	}
	a.Step = step
	return nil
}

// hold is the owner's time: from the grant of the record to its end.
func (j *job) hold(ctx context.Context, g Grant, sent time.Time) (Reply, error) {
	c := j.client
	h := Hold{Owner: j.claim.Owner, Fence: g.Fence}
	l := newLease(ctx, c, j, h, sent)
	defer l.stop()

	// An answer that took long leaves little of the lease: ask for a whole one. A
	// caller who has left meanwhile leaves nothing unknown: fn is not begun.
	err := ctx.Err()
	if err == nil && time.Since(sent) > j.policy.Lease/3 {
		var v Verdict
		if v, err = l.renew(ctx, nil, 0); v == Lost || v == Conflict {
			return Reply{}, errAgain
		}
	}
	if err != nil {
		l.stop()
		if g.Answer == New {
			j.letGo(h)
		} else {
			j.giveUp(h)
		}
		c.unavailable.Add(1)
		return Reply{}, j.error(ErrUnavailable, g, err)
	}
	l.start()
	a := &Attempt{Key: j.key, Fence: g.Fence, Number: g.Attempt, Taken: g.Answer == Takeover, Step: g.Step, job: j, lease: l}
	if a.Taken {
		c.takenOver.Add(1)
		if reply, over, err := j.decide(l, h, a, g); over {
			return reply, err
		}
	}
	return j.run(l, h, a, g)
}

// decide applies the policy to a record whose owner died. over: fn is not to run.
func (j *job) decide(l *lease, h Hold, a *Attempt, g Grant) (reply Reply, over bool, err error) {
	switch j.policy.Unknown.how {
	case redo:
		return Reply{}, false, nil
	case halt:
		reply, err = j.halt(l, h, g)
		return reply, true, err
	}
	returned := false
	defer func() {
		if !returned { // a panic, on its way to the caller
			l.stop()
			j.giveUp(h)
		}
	}()
	finding, err := j.policy.Unknown.reconcile(l.ctx, a)
	returned = true
	switch {
	case err != nil:
		j.client.unknown.Add(1)
		l.stop()
		j.giveUp(h)
		return Reply{}, true, j.error(ErrUnknown, g, err)
	case finding.kind == notApplied:
		return Reply{}, false, nil
	case finding.kind == applied:
		reply, err = j.finish(l, h, g, Done, finding.result)
		reply.Replayed = true
		return reply, true, err
	}
	reply, err = j.halt(l, h, g)
	return reply, true, err
}

// halt leaves the record to a person.
func (j *job) halt(l *lease, h Hold, g Grant) (Reply, error) {
	j.client.unknown.Add(1)
	_, err := j.finish(l, h, g, Unknown, nil)
	e := j.error(ErrUnknown, g, err)
	if err == nil {
		e.Version++ // by the finish
	}
	return Reply{}, e
}

// run runs fn and records what came of it.
func (j *job) run(l *lease, h Hold, a *Attempt, g Grant) (Reply, error) {
	c := j.client
	c.ran.Add(1)
	j.ran = true
	returned := false
	defer func() {
		if !returned { // a panic, or Goexit: on its way, and the effect unknown
			c.panicked.Add(1)
			l.stop()
			j.giveUp(h)
		}
	}()
	result, err := j.fn(l.ctx, a)
	returned = true
	var (
		final *Failure
		again *transient
	)
	switch {
	case err == nil:
		return j.finish(l, h, g, Done, result)
	case errors.As(err, &final):
		if limit := or(c.MaxResult, 64<<10); len(final.Reason) > limit {
			final = &Failure{Reason: final.Reason[:limit]}
		}
		if _, e := j.finish(l, h, g, Failed, []byte(final.Reason)); e != nil {
			return Reply{}, errors.Join(err, e)
		}
		return Reply{}, err
	case errors.As(err, &again):
		c.released.Add(1)
		l.stop()
		j.letGo(h)
		if err == error(again) {
			err = again.error
		}
		return Reply{}, err
	}
	c.unknown.Add(1)
	l.stop()
	j.giveUp(h)
	return Reply{}, &Error{Key: j.key, Err: ErrUnknown, Step: a.Step, Version: g.Version, Cause: err}
}

// finish tells the store how it ended. The lease is renewed meanwhile, and the
// caller's context has no say: what happened has to be known.
func (j *job) finish(l *lease, h Hold, g Grant, s State, result []byte) (Reply, error) {
	c := j.client
	l.ctx.end(context.Canceled) // fn has returned: there is nothing to fence any more
	f := Final{State: s, Retain: j.claim.Retain, Print: j.claim.Print}
	if s != Unknown {
		f.Result = c.frame(result)
	}
	v, _, err := ask(context.WithoutCancel(l.ctx), c, func(ctx context.Context) (Verdict, error) {
		return c.Store.Finish(ctx, j.name, h, f)
	})
	reply := Reply{Result: result, Version: g.Version + 1, Fence: g.Fence}
	switch {
	case err != nil:
		c.unrecorded.Add(1)
		return reply, j.error(ErrUnrecorded, g, err)
	case v == Lost:
		j.suspect(&c.lost)
		return reply, j.error(ErrLost, g, nil)
	case v == Conflict:
		j.suspect(&c.conflicted)
		return reply, j.error(ErrConflict, g, nil)
	case v == Healed:
		j.suspect(&c.healed)
	}
	return reply, nil
}

// suspect counts what has gone wrong, if this call has caused an effect.
func (j *job) suspect(counter *atomic.Uint64) {
	if j.ran {
		counter.Add(1)
	}
}

// letGo frees the key: the effect surely did not happen. That another owner
// has it by now, because an answer was lost, is all right then.
func (j *job) letGo(h Hold) {
	c := j.client
	f := Final{State: Released, Retain: j.claim.Retain, Print: j.claim.Print}
	_, _, err := ask(context.Background(), c, func(ctx context.Context) (Verdict, error) {
		return c.Store.Finish(ctx, j.name, h, f)
	})
	if err != nil {
		c.abandoned.Add(1)
	}
}

// giveUp ends the lease and leaves the record as it is, so that the next call
// takes over at once instead of when the lease ends.
func (j *job) giveUp(h Hold) {
	c := j.client
	_, _, err := ask(context.Background(), c, func(ctx context.Context) (Verdict, error) {
		return c.Store.Renew(ctx, j.name, h, Renewal{Retain: j.claim.Retain})
	})
	if err != nil {
		c.abandoned.Add(1)
	}
}
