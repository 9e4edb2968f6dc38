package saga

import (
	"context"
	"fmt"
	"time"
)

// Resume goes on with a saga that is stuck: the step is tried again, as often as
// at first. One that is open but not stuck is gone on with as by Recover. When
// ctx ends the saga is left open. A saga that has ended gives a
// *TransitionError.
func (r *Runner) Resume(ctx context.Context, id string) (Outcome, error) {
	return r.resume(ctx, id, &Event{Kind: Resume})
}

// Skip goes on with a stuck saga behind the step where it is stuck, which a
// person has seen to: the action has had its effect and result is what it would
// have returned, or, of a saga that compensates, the effect is undone. step is
// the name of that step, so that nobody skips another one than he has looked at.
// Nothing is withdrawn: that the call cannot come late is the person's to know. A
// saga that is not stuck there gives a *TransitionError.
func (r *Runner) Skip(ctx context.Context, id, step string, result []byte) (Outcome, error) {
	if len(result) > r.cfg.MaxResult {
		return Outcome{}, &Error{ID: id, Err: ErrTooLarge, Cause: fmt.Errorf("result of %d bytes, limit %d", len(result), r.cfg.MaxResult)}
	}
	return r.resume(ctx, id, &Event{Kind: Skip, Result: result, Reason: step})
}

// decide applies what a person has decided.
func decide(rec *Record, p *plan, e *Event) error {
	switch {
	case e == nil, e.Kind == Resume && (rec.State == Running || rec.State == Compensating):
		return nil
	case e.Kind == Skip && rec.State == Stuck && p.names[rec.At] != e.Reason:
		return &TransitionError{Event: Skip, Saga: Stuck, Step: rec.At, State: rec.Steps[rec.At].State}
	}
	return rec.Apply(*e, time.Now())
}
