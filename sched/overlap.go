package sched

import "github.com/weir-go/weir/timer"

// fire is a task's occasion: a run, if what is under way lets it. Locked.
//
//	                 nothing under way ──► admit
//	SkipRunning, Allow(n)   else ──► line: skipped
//	BufferOne, BufferAll(n) else ──► buffered ──► when the run has ended: admit
//	CancelOther             else ──► buffered, and the run is told to end
func (s *Scheduler) fire(t *Task, o occasion, now timer.Time) error {
	s.open++
	t.live = orNew(t.live)
	l := t.live
	if t.busy() {
		for i := len(l.runs) - 1; i >= 0; i-- { // what is newer is not held up by another replica
			if _, waits := s.others[l.runs[i]]; waits {
				s.leaveToOther(l.runs[i], now)
			}
		}
	}
	if !t.busy() {
		return s.admit(t, o, now)
	}
	switch t.spec.Overlap.Policy {
	case BufferOne:
		if len(l.buffered) == 0 {
			l.buffered = append(l.buffered, o)
			return nil
		}
	case BufferAll:
		if len(l.buffered) < t.spec.Overlap.Most {
			l.buffered = append(l.buffered, o)
			return nil
		}
		s.lost(t, o, Dropped, BufferFull, now)
		return ErrOverlap
	case CancelOther:
		s.supersede(t, o, now)
		return nil
	}
	why := Overlapped
	for _, r := range l.runs {
		if r.orphan {
			why = Orphans
		}
	}
	s.lost(t, o, Skipped, why, now)
	return ErrOverlap
}

// supersede lets an occasion take the place of the run that is under way, and of
// one that waits for its end already. Locked.
func (s *Scheduler) supersede(t *Task, o occasion, now timer.Time) {
	l := t.live
	for _, old := range l.buffered {
		s.lost(t, old, Skipped, Pushed, now)
	}
	l.buffered = append(l.buffered[:0], o)
	r := l.runs[0] // CancelOther allows one
	switch r.stage {
	case executing:
		s.halt(r, Replaced, ErrReplaced, r.spec.Overlap.Grace, now)
	case waiting:
		s.withdraw(r, now)
		s.finish(r, Cancelled, Replaced, now)
	case resting:
		s.count.Retrying--
		s.finish(r, Cancelled, Replaced, now)
	}
}

// settled is called when a run of the task has ended, and when nothing came of
// what was due: what waits for that goes on. Locked.
func (s *Scheduler) settled(t *Task, now timer.Time) {
	if t.flags&gone != 0 {
		return
	}
	l := t.live
	for l != nil && len(l.buffered) > 0 && !t.busy() {
		o := l.buffered[0]
		l.buffered = append(l.buffered[:0], l.buffered[1:]...)
		if t.spec.Misfire.Policy == SkipMissed && !o.manual && now.Sub(o.due) > l.after {
			s.lost(t, o, Skipped, Missed, now)
			continue
		}
		_ = s.admit(t, o, now) // what became of it is in the ledger
	}
	if t.flags&catching != 0 && len(l.runs) == 0 && s.bases.of(t.spec.steady).mono(t.next) > now {
		t.flags &^= catching
	}
	if t.flags&behind != 0 && len(l.runs) == 0 {
		t.flags &^= behind
		if t.flags&paused == 0 {
			s.set(t.heap, &t.timer, max(now, l.pace))
		}
	}
	idle := l == nil || len(l.runs) == 0 && len(l.buffered) == 0
	if idle && t.next == 0 && t.flags&popped == 0 && (t.flags&once != 0 || t.spec.Trigger != nil) {
		s.remove(t)
		s.reuse(t)
	}
}

// admit lets an occasion wait in its queue, as a run. Locked.
func (s *Scheduler) admit(t *Task, o occasion, now timer.Time) error {
	q := t.spec.queue
	if q.full() {
		if q.Full != DropOldest {
			s.lost(t, o, Dropped, QueueFull, now)
			return ErrQueueFull
		}
		old := q.ages.first.r
		s.withdraw(old, now)
		s.finish(old, Dropped, Pushed, now)
	}
	r := t.newRun(o)
	t.live.add(r)
	s.enqueue(r, now)
	return nil
}

// lost writes the line of an occasion that does not come to a run. Locked.
func (s *Scheduler) lost(t *Task, o occasion, as Outcome, why Reason, now timer.Time) {
	s.open--
	s.enter(t, entry{spec: t.spec, instant: o.instant, first: o.instant, count: 1, outcome: as, reason: why,
		due: o.due, decided: o.decided, ended: now, manual: o.manual})
}

// write writes the line of a run. Locked.
func (s *Scheduler) write(r *run, as Outcome, why Reason, now timer.Time) {
	if r.lined {
		return
	}
	r.lined = true
	s.open--
	s.enter(r.task, entry{spec: r.spec, instant: r.instant, first: r.instant, count: 1, outcome: as, reason: why,
		due: r.due, decided: r.decided, began: r.began, ended: now, err: r.err, tries: int32(r.tries), manual: r.manual})
}

// enter puts a line into the ledger. Locked.
func (s *Scheduler) enter(t *Task, e entry) {
	e.task = t.id
	e.spec.series.Outcomes[e.outcome] += e.count
	s.ledger.write(e)
	if s.cfg.Line != nil {
		s.told = append(s.told, e.line())
	}
}
