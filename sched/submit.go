package sched

import (
	"context"
	"errors"

	"github.com/weir-go/weir/timer"
)

// Submit lets the job run once, as soon as it may; a Trigger is not used. It is
// the producers' way in: when its queue is full they are told, wait, or run it
// themselves, as the queue's Full says. The context is what the run's is made
// from, and what the wait ends with. Errors: those of Add, ErrQueueFull.
func (s *Scheduler) Submit(ctx context.Context, j Job) error {
	j.Trigger, j.Durable, j.Guarded = nil, false, false
	x, err := s.specify(j)
	if err != nil {
		return err
	}
	t := s.newTask(ctx, x, j.Do)
	t.flags = once
	return s.byHand(ctx, t)
}

// byHand fires a task for a caller.
func (s *Scheduler) byHand(ctx context.Context, t *Task) error {
	q := t.spec0().queue
	if q.Full == Block {
		if err := s.untilRoom(ctx, q); err != nil {
			return err
		}
	} else {
		s.mu.Lock()
	}
	if t.group == nil {
		if err := s.enroll(t); err != nil {
			return s.answer(q, err)
		}
	}
	switch {
	case t.flags&gone != 0:
		return s.answer(q, ErrGone)
	case s.closing:
		return s.answer(q, ErrClosed)
	}
	now := s.clock.Now()
	if q.Full == RunInCaller && q.full() && !t.busy() {
		return s.inCaller(t, now)
	}
	instant := s.bases.steady.instant(now)
	err := s.fire(t, occasion{instant: instant, first: instant, due: now, decided: now, manual: true}, now)
	if errors.Is(err, ErrQueueFull) {
		s.count.Refused++
	}
	s.settled(t, now)
	return s.answer(q, err)
}

// answer gives the lock back, and passes the room on that the caller was let in
// for, if there is any left: he may not have taken it.
func (s *Scheduler) answer(q *queue, err error) error {
	q.room()
	s.release()
	return err
}

// inCaller executes a run on the goroutine of who asked for it, if nothing but a
// worker is missing. Locked; it gives the lock back.
func (s *Scheduler) inCaller(t *Task, now timer.Time) error {
	t.live = orNew(t.live)
	instant := s.bases.steady.instant(now)
	o := occasion{instant: instant, first: instant, due: now, decided: now, manual: true}
	r := t.newRun(o)
	s.open++
	if s.paused || r.shut(now) != nil {
		s.count.Refused++
		s.lost(t, o, Dropped, QueueFull, now)
		s.settled(t, now)
		s.release()
		return ErrQueueFull
	}
	t.live.add(r)
	for _, c := range r.spec.claims {
		c.gate.take(c.n, now)
	}
	s.callers++
	defer func() { // also if the body ends the goroutine
		s.mu.Lock()
		s.callers--
		s.release()
	}()
	s.workers++
	s.carry(r, now)
	s.workers--
	s.release()
	return nil
}
