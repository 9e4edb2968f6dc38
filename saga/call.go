package saga

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/idem"
)

// Attempt is what a Call.Run sees of its saga. Bytes must not be changed.
type Attempt struct {
	ID    string // of the saga
	Step  string
	Input []byte

	// Idem is how package idem sees the call: the Key that is the same in each
	// try, the Fence for the place of the effect to check, and Mark.
	Idem *idem.Attempt

	// For a compensation: what the action returned, and whether nobody knows
	// that it had its effect. Then there is no result, and the compensation must
	// be right in both cases.
	Result []byte
	Maybe  bool

	names []string
	steps []StepRecord
}

// Of returns the result of an earlier step, nil if there is none.
func (a *Attempt) Of(step string) []byte {
	for i, name := range a.names {
		if name == step {
			return a.steps[i].Result
		}
	}
	return nil
}

var errExit = errors.New("saga: the call ended its goroutine")

type answer struct {
	result []byte
	err    error
}

// call runs f on a goroutine of its own until it returns, or its time and then
// the grace are over. After that it is an orphan, which ends when it likes; what
// it holds in idem it holds on to, so that nobody compensates beside it.
func (r *Runner) call(ctx context.Context, timeout time.Duration, f func(context.Context) ([]byte, error)) ([]byte, error) {
	r.count.calls.Add(1)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var over atomic.Bool // whoever sets it first: the call has ended, or is an orphan
	done := make(chan answer, 1)
	r.busy.Add(1) // the saga that calls is counted too, so that this is not from zero
	go func() {
		defer r.busy.Done()
		a := answer{err: errExit}
		defer func() {
			if p := recover(); p != nil {
				r.count.panics.Add(1)
				a.err = fmt.Errorf("saga: panic: %v\n%s", p, debug.Stack())
			}
			if a.err == errExit {
				r.count.panics.Add(1)
			}
			done <- a
			if !over.CompareAndSwap(false, true) {
				r.count.orphans.Add(-1)
			}
		}()
		a.result, a.err = f(ctx)
	}()
	select {
	case a := <-done:
		return a.result, a.err
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		r.count.timeouts.Add(1)
	}
	t := time.NewTimer(r.cfg.Grace)
	defer t.Stop()
	select {
	case a := <-done:
		return a.result, a.err
	case <-t.C:
	}
	r.count.orphans.Add(1)
	if !over.CompareAndSwap(false, true) {
		r.count.orphans.Add(-1)
		a := <-done
		return a.result, a.err
	}
	return nil, fmt.Errorf("saga: the call does not end: %w", ctx.Err())
}

// What a withdrawn action's record says. It is the tombstone: an action that
// comes late is given it instead of being run.
const (
	withdrawn      = "saga: withdrawn"
	withdrawnMaybe = "saga: withdrawn; it may have happened"
)

func (w *walk) key(step int, op func(string) string) idem.Key {
	return idem.Key{Space: w.plan.name, Operation: op(w.plan.names[step]), ID: w.rec.ID}
}

func (w *walk) policy(u Unknown) idem.Policy {
	// The number of tries is the saga's to limit.
	return idem.Policy{Unknown: u.choice, Wait: true, Lease: w.r.cfg.Lease, Retain: w.r.cfg.Retain, Attempts: math.MaxInt32}
}

// attempt has a copy of the steps: the call may be left behind, and the saga goes
// on. Their results are never written to.
func (w *walk) attempt(i int) *Attempt {
	return &Attempt{ID: w.rec.ID, Step: w.plan.names[i], Input: w.rec.Input, names: w.plan.names, steps: slices.Clone(w.rec.Steps)}
}

// action returns the call of a step's action.
func (w *walk) action(i int) func(context.Context) ([]byte, error) {
	step, key, at := &w.plan.steps[i], w.key(i, doing), w.attempt(i)
	policy, r := w.policy(step.Do.Unknown), w.r
	behind := w.plan.pivot >= 0 && i > w.plan.pivot
	return func(ctx context.Context) ([]byte, error) {
		reply, err := r.cfg.Idem.Do(ctx, key, at.Input, policy, func(ctx context.Context, a *idem.Attempt) ([]byte, error) {
			at.Idem = a
			result, err := step.Do.Run(ctx, at)
			if err != nil && a.Taken && step.Do.Unknown.how == redo {
				// It says that this call had no effect. The one before may have.
				return nil, fmt.Errorf("after a call that may have had its effect: %s", err)
			}
			if behind {
				err = unrejected(err)
			}
			if len(result) > r.cfg.MaxResult {
				r.count.omitted.Add(1)
				result = nil
			}
			return result, err
		})
		return reply.Result, err
	}
}

// compensation returns the call of a step's compensation.
func (w *walk) compensation(i int) func(context.Context) ([]byte, error) {
	step, key, at := &w.plan.steps[i], w.key(i, undoing), w.attempt(i)
	policy, r := w.policy(step.Undo.Unknown), w.r
	at.Result = at.steps[i].Result
	withdraw, ran := w.withdrawal(i), at.steps[i].Ran
	return func(ctx context.Context) ([]byte, error) {
		if !ran {
			var err error
			if ran, at.Maybe, at.Result, err = withdraw(ctx); err != nil {
				return nil, err
			}
			if !ran && !at.Maybe {
				r.count.empty.Add(1)
				return nil, nil
			}
		}
		if step.Undo.Run == nil {
			return nil, nil
		}
		_, err := r.cfg.Idem.Do(ctx, key, at.Input, policy, func(ctx context.Context, a *idem.Attempt) ([]byte, error) {
			at.Idem = a
			_, err := step.Undo.Run(ctx, at)
			return nil, unrejected(err)
		})
		if errors.Is(err, idem.ErrNotKept) {
			err = nil
		}
		return nil, err
	}
}

// unrejected is the error of a call that cannot be rejected for good, because there
// is no way but on: a rejection is the answer of now, and not kept.
func unrejected(err error) error {
	if final := (*idem.Failure)(nil); errors.As(err, &final) {
		return idem.Transient(errors.New(final.Reason))
	}
	return err
}

// withdrawal returns a call that sees to it that a step's action is not run any
// more, and says what is known about its effect.
func (w *walk) withdrawal(i int) func(context.Context) (ran, maybe bool, result []byte, err error) {
	unknown, key, input := w.plan.steps[i].Do.Unknown, w.key(i, doing), w.rec.Input
	policy, client := w.policy(unknown), w.r.cfg.Idem
	// What is absent by now may have been there.
	forgotten := time.Since(w.rec.Begun) > w.r.cfg.Retain
	return func(ctx context.Context) (ran, maybe bool, result []byte, err error) {
		reply, err := client.Do(ctx, key, input, policy, func(_ context.Context, a *idem.Attempt) ([]byte, error) {
			if forgotten || a.Taken && unknown.how == redo {
				return nil, &idem.Failure{Reason: withdrawnMaybe}
			}
			return nil, &idem.Failure{Reason: withdrawn}
		})
		var final *idem.Failure
		switch {
		case err == nil:
			return true, false, reply.Result, nil
		case errors.As(err, &final):
			// An error beside it: the tombstone may not be there.
			var e *idem.Error
			if errors.As(err, &e) {
				return false, false, nil, err
			}
			return false, final.Reason == withdrawnMaybe, nil, nil
		case errors.Is(err, idem.ErrNotKept):
			return true, false, nil, nil
		case errors.Is(err, idem.ErrUnknown):
			return false, true, nil, bury(ctx, client, key, policy, err)
		}
		return false, false, nil, err
	}
}

// bury makes a tombstone of a record that waits for a person to decide: the
// compensation is the decision.
func bury(ctx context.Context, client *idem.Client, key idem.Key, policy idem.Policy, unknown error) error {
	rec, err := client.Lookup(ctx, key)
	switch {
	case err != nil:
		return err
	case rec.State != idem.Unknown: // the Reconciler could not be asked: later
		return unknown
	}
	return client.Resolve(ctx, key, rec.Version, idem.Never(withdrawnMaybe), policy)
}
