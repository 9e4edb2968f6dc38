package sched

import (
	"maps"
	"slices"
	"time"
)

// Pause lets no instant of the task come to a run. Those that pass meanwhile are
// one line of the ledger when it is resumed: skipped, paused. What runs or waits
// already goes on, and Run works.
func (t *Task) Pause() {
	s := t.sched
	s.mu.Lock()
	if t.flags&gone == 0 {
		t.flags |= paused
		s.stop(t.heap, &t.timer)
	}
	s.release()
}

// Resume ends Pause.
func (t *Task) Resume() {
	s := t.sched
	s.mu.Lock()
	if t.flags&(gone|paused) == paused {
		t.flags &^= paused
		if t.next != 0 && t.flags&(behind|popped) == 0 { // else it is set anyway
			when := s.bases.of(t.spec.steady).mono(t.next)
			if when <= s.clock.Now() {
				t.flags |= lapsed
			}
			s.set(t.heap, &t.timer, when)
		}
	}
	s.release()
}

// Reschedule gives the task another trigger, from the present on. What is under
// way goes on; what was due by the old one and is not decided yet is cancelled.
// Errors: ErrTrigger, ErrGone.
func (t *Task) Reschedule(trigger Trigger) error {
	if err := Check(trigger); err != nil {
		return err
	}
	s := t.sched
	for {
		next := following(trigger, s.present(steady(trigger)))
		if next == 0 {
			return wrong("it never fires")
		}
		if done, err := s.replan(t, trigger, next); done {
			return err
		}
	}
}

// replan is Reschedule once the new trigger has said what is next. It reports
// false if the old one had to be asked what was due, and is to be called again.
func (s *Scheduler) replan(t *Task, trigger Trigger, next Instant) (done bool, err error) {
	s.mu.Lock()
	defer s.release()
	if t.flags&(gone|once) != 0 {
		return true, ErrGone
	}
	now := s.clock.Now()
	old := due{task: t, spec: t.spec, at: t.next, gen: t.gen}
	bases := s.bases
	if at := bases.of(t.spec.steady); t.next != 0 && at.mono(t.next) <= now && t.flags&popped == 0 {
		s.mu.Unlock()
		p := giveUp(old.spec.Trigger, old.at, at.instant(now))
		s.mu.Lock()
		if t.next == old.at && t.gen == old.gen && t.flags&popped == 0 {
			t.gen++
			s.span(t, &old, p.all(Cancelled, Rescheduled), now)
			t.next = p.next
		}
		return false, nil
	}
	x := *t.spec
	x.Trigger, x.steady, x.period = trigger, steady(trigger), grid(trigger)
	t.spec = &x
	t.gen++
	t.flags &^= behind | catching | lapsed
	if t.flags&paused == 0 {
		s.plan(t, next, 0, now)
	}
	t.next = next
	return true, nil
}

// Pause lets nothing begin any more. What is due waits in its queue, or is
// dropped when that is full.
func (s *Scheduler) Pause() {
	s.mu.Lock()
	s.paused = true
	s.release()
}

// Resume ends Pause.
func (s *Scheduler) Resume() {
	s.mu.Lock()
	s.paused = false
	s.release()
}

// PauseQueue is Pause for what is in a queue, "" for the default one. ErrConfig:
// there is none of that name.
func (s *Scheduler) PauseQueue(name string) error { return s.pauseQueue(name, true) }

// ResumeQueue ends PauseQueue.
func (s *Scheduler) ResumeQueue(name string) error { return s.pauseQueue(name, false) }

func (s *Scheduler) pauseQueue(name string, pause bool) error {
	s.mu.Lock()
	defer s.release()
	q := s.queues[name]
	if q == nil {
		return config("no queue %q", name)
	}
	q.gate.paused = pause
	q.gate.admit(s.clock.Now())
	return nil
}

// Room returns how many more runs may wait in a queue now, 0 if there is none of
// that name: for producers who slow down before they are refused.
func (s *Scheduler) Room(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[name]
	if q == nil {
		return 0
	}
	return max(q.Capacity-q.ages.n, 0)
}

// Info is what there is to know about a task.
type Info struct {
	ID        uint64
	Name      string
	Type      string
	Queue     string
	Labels    map[string]string
	Next      time.Time // zero: none
	Paused    bool
	Running   int // bodies, orphans included
	Waiting   int // runs that have not begun, and instants that are buffered
	Retrying  int
	Orphans   int
	CatchesUp bool // there is more to catch up on
}

// Info returns it.
func (t *Task) Info() Info {
	t.sched.mu.Lock()
	defer t.sched.mu.Unlock()
	return t.info()
}

// info is Info, locked.
func (t *Task) info() Info {
	x := t.spec
	i := Info{ID: t.id, Name: x.Name, Type: x.Type, Queue: x.Queue, Labels: x.Labels, Next: t.next.Time(),
		Paused: t.flags&paused != 0, CatchesUp: t.flags&(behind|catching) != 0}
	if t.live == nil {
		return i
	}
	i.Waiting = len(t.live.buffered)
	for _, r := range t.live.runs {
		switch r.stage {
		case waiting:
			i.Waiting++
		case executing, ending:
			i.Running++
		case resting:
			i.Retrying++
		}
		if r.orphan {
			i.Orphans++
		}
	}
	return i
}

// Find returns the task of that name, nil if there is none.
func (s *Scheduler) Find(name string) *Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[name]
}

// Tasks returns the tasks that have names, in their order.
func (s *Scheduler) Tasks() []Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Info, 0, len(s.names))
	for _, name := range slices.Sorted(maps.Keys(s.names)) {
		list = append(list, s.names[name].info())
	}
	return list
}
