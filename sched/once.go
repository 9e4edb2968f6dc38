package sched

import (
	"context"
	"time"
)

// A Once is a body that In is going to call. It is a value, and the zero value is
// one that is over. What is behind it is used again when it is over, so that one
// that is scheduled and cancelled, as most are, leaves nothing to collect.
type Once struct {
	task *Task
	life uint32
}

// In calls the body once, after d, unless it is cancelled or the context ends
// before. It is Add for a job that is nothing else, and costs a tenth: it has no
// name, and the default queue and policies. Errors: those of Add.
func (s *Scheduler) In(ctx context.Context, d time.Duration, do Body) (Once, error) {
	if do == nil {
		return Once{}, config("no body")
	}
	now := s.clock.Now()
	s.mu.Lock()
	t := s.reused()
	t.do, t.parent = do, ctx
	if err := s.enroll(t); err != nil {
		s.keep(t)
		s.mu.Unlock()
		return Once{}, err
	}
	o := Once{t, t.life}
	when := now.Add(max(d, 0))
	t.next = s.bases.steady.instant(when)
	s.set(t.heap, &t.timer, when)
	s.mu.Unlock()
	return o, nil
}

// Cancel keeps the body from being called, or ends its context if it has begun.
// It reports whether it was there: not when it is over, or was cancelled. It does
// not wait for the body.
func (o Once) Cancel() bool {
	if o.task == nil {
		return false
	}
	s := o.task.sched
	s.mu.Lock()
	t := o.task
	was := t.life == o.life && t.flags&gone == 0
	if was {
		s.drop(t, Stopped, ErrCancelled)
	}
	if t.live == nil { // nothing to tell anybody
		s.mu.Unlock()
		return was
	}
	s.release()
	return was
}

// spares is how many tasks are kept for reuse.
const spares = 1024

// reused returns a task for In. Locked.
func (s *Scheduler) reused() *Task {
	last := len(s.spare) - 1
	if last < 0 {
		t := s.newTask(nil, s.plain, nil)
		t.flags = once | reusable
		return t
	}
	t := s.spare[last]
	s.spare = s.spare[:last]
	t.flags = once | reusable
	return t
}

// reuse keeps a task of In that is gone for another, if it is over. A Once of before
// does not reach it. Locked.
func (s *Scheduler) reuse(t *Task) {
	switch {
	case t.flags&reusable == 0:
	case t.live != nil && len(t.live.runs) > 0: // it comes again with the end of the last
	case t.flags&popped == 0 && len(s.spare) < spares:
		t.life++
		if t.group != s.endless {
			t.group = nil
		}
		s.keep(t)
	default:
		t.flags &^= reusable
		if t.group == s.endless {
			s.part(t)
		}
	}
}

// keep keeps a task for In that is nobody's. Locked.
func (s *Scheduler) keep(t *Task) {
	t.flags = gone
	t.do, t.parent = nil, nil
	s.spare = append(s.spare, t)
}
