package saga

import (
	"context"
	"errors"
	"time"

	"github.com/weir-go/weir/idem"
)

// walk is one owner's way through a saga. It is used by one goroutine.
//
//	note(event) ─► rec ─► save ─► Log        what is noted is on the disk
//	                        │                before the next call is made
//	                        └─► call ─► idem ─► Call.Run
type walk struct {
	r      *Runner
	plan   *plan
	rec    Record
	caller context.Context // its end aborts the saga, if it can be
	life   context.Context // its end leaves the saga as it is
}

// run goes on until the saga has ended or is stuck.
func (w *walk) run() (Outcome, error) {
	for {
		var err error
		switch w.rec.State {
		case Running:
			err = w.advance()
		case Compensating:
			err = w.retreat()
		default:
			return w.finish()
		}
		if err != nil {
			return Outcome{}, err
		}
	}
}

func (w *walk) finish() (Outcome, error) {
	if err := w.save(); err != nil {
		return Outcome{}, err
	}
	switch w.rec.State {
	case Succeeded:
		w.r.count.succeeded.Add(1)
	case Compensated:
		w.r.count.compensated.Add(1)
	case Stuck:
		w.r.count.stuck.Add(1)
	}
	return outcome(&w.rec, w.plan), nil
}

// note changes the record, but not yet in the Log: save does.
func (w *walk) note(kind Kind, step int, result []byte, reason string) error {
	err := w.rec.Apply(Event{Kind: kind, Step: step, Result: result, Reason: short(reason)}, time.Now())
	if err != nil {
		return &Error{ID: w.rec.ID, Err: err}
	}
	return nil
}

// short cuts a reason, which may have a panic's stack, to what a record keeps.
func short(reason string) string { return reason[:min(len(reason), 4<<10)] }

// save writes the record. Whatever the answer is if it is not yes, this owner's
// time is over.
func (w *walk) save() error {
	version := w.rec.Version
	w.rec.Version++
	return w.put(version, w.rec.Fence)
}

// stopped says why the saga is left as it is.
func (w *walk) stopped() error {
	if w.r.life.Err() != nil {
		return &Error{ID: w.rec.ID, Err: ErrClosed}
	}
	return &Error{ID: w.rec.ID, Err: context.Cause(w.life)}
}

// put writes the record in place of the one with that version and fence.
func (w *walk) put(version, fence uint64) error {
	if w.life.Err() != nil {
		return w.stopped()
	}
	ctx := context.WithoutCancel(w.life) // a write is not torn
	err := w.r.write(ctx, func(ctx context.Context) error {
		return w.r.cfg.Log.Write(ctx, &w.rec, version, fence)
	})
	switch {
	case errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound):
		w.r.count.lost.Add(1)
		return &Error{ID: w.rec.ID, Err: ErrLost, Cause: err}
	case err != nil:
		return &Error{ID: w.rec.ID, Err: ErrLog, Cause: err}
	}
	w.r.count.writes.Add(1)
	return nil
}

// advance calls the next action once, or decides that there is no use.
func (w *walk) advance() error {
	i := w.rec.next()
	step, s := &w.plan.steps[i], &w.rec.Steps[i]
	late := step.Pivot || w.rec.Committed() // the caller cannot end the call
	switch {
	case s.State == Failed:
		return w.giveUp(i, s.Reason)
	case !w.rec.Committed() && w.caller.Err() != nil:
		return w.note(Abort, 0, nil, "caller: "+w.caller.Err().Error())
	case s.Tries >= step.Do.Retry.Tries:
		return w.giveUp(i, s.Reason)
	}
	if s.Tries > 0 && s.State == InDoubt {
		if err := w.wait(step.Do.Retry.pause(s.Tries), !late); err != nil || w.rec.State != Running {
			return err
		}
	}
	if err := w.note(Intend, i, nil, ""); err != nil {
		return err
	}
	if err := w.save(); err != nil {
		return err
	}
	ctx := w.life
	if !late {
		var cancel context.CancelFunc
		ctx, cancel = either(w.life, w.caller)
		defer cancel()
	}
	result, err := w.r.call(ctx, step.Do.Timeout, w.action(i))
	return w.judge(i, result, err)
}

// judge notes what came of a call.
func (w *walk) judge(i int, result []byte, err error) error {
	var (
		final *idem.Failure
		store *idem.Error // beside a Failure: it may not have been recorded
	)
	switch {
	case w.life.Err() != nil && err != nil:
		return w.stopped()
	case err == nil:
		return w.note(Confirm, i, result, "")
	case errors.Is(err, idem.ErrNotKept):
		w.r.count.omitted.Add(1)
		return w.note(Confirm, i, nil, "")
	case errors.As(err, &final) && !errors.As(err, &store):
		return w.note(Reject, i, nil, final.Reason)
	}
	w.r.count.doubts.Add(1)
	if err := w.note(Doubt, i, nil, err.Error()); err != nil {
		return err
	}
	if w.plan.steps[i].Do.Unknown.how == halt && errors.Is(err, idem.ErrUnknown) {
		return w.giveUp(i, err.Error())
	}
	return nil
}

// giveUp turns back, or where that cannot be leaves it to a person.
func (w *walk) giveUp(i int, reason string) error {
	if w.rec.Committed() {
		return w.note(Stop, i, nil, reason)
	}
	return w.note(Abort, 0, nil, w.plan.names[i]+": "+reason)
}

// retreat calls the next compensation once, or gives up.
func (w *walk) retreat() error {
	i := w.rec.last()
	step, s := &w.plan.steps[i], &w.rec.Steps[i]
	if s.State == Undoing && s.Tries > 0 {
		if s.Tries >= step.Undo.Retry.Tries {
			return w.note(Stop, i, nil, s.Reason)
		}
		if err := w.wait(step.Undo.Retry.pause(s.Tries), false); err != nil {
			return err
		}
	}
	if err := w.note(IntendUndo, i, nil, ""); err != nil {
		return err
	}
	if err := w.save(); err != nil {
		return err
	}
	_, err := w.r.call(w.life, step.Undo.Timeout, w.compensation(i))
	switch {
	case err == nil:
		return w.note(ConfirmUndo, i, nil, "")
	case w.life.Err() != nil:
		return w.stopped()
	}
	w.r.count.failures.Add(1)
	w.rec.Steps[i].Reason = short(err.Error())
	if step.Undo.Unknown.how == halt && errors.Is(err, idem.ErrUnknown) {
		return w.note(Stop, i, nil, err.Error())
	}
	return nil
}

// wait waits until the next try. If caller is set his end aborts the saga.
func (w *walk) wait(d time.Duration, caller bool) error {
	t := time.NewTimer(d)
	defer t.Stop()
	var gone <-chan struct{}
	if caller {
		gone = w.caller.Done()
	}
	select {
	case <-t.C:
	case <-gone:
		return w.note(Abort, 0, nil, "caller: "+w.caller.Err().Error())
	case <-w.life.Done():
		return w.stopped()
	}
	return nil
}

// either returns a context that ends with one of the two, and with its cause.
func either(a, b context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(a)
	stop := context.AfterFunc(b, func() { cancel(context.Cause(b)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}
