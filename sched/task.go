package sched

import (
	"context"
	"time"

	"github.com/weir-go/weir/timer"
)

// A Task is a Job that a Scheduler has. It is gone when it was cancelled, when
// its parent context has ended, and when nothing is left to come: then its name
// is free. Its methods may be called from any goroutine, and from bodies.
type Task struct {
	// What it takes to cancel one comes first, in two cache lines that follow each
	// other: of a million tasks, each line that is touched is a miss.
	sched *Scheduler

	// Guarded by the Scheduler's lock.
	live  *live // nil until it fires for the first time
	timer timer.Timer
	life  uint32 // which Once it is
	flags flags
	why   Reason // it is gone
	heap  uint8  // of the wheel, that its timers are in
	gen   uint32 // changes when next does by other means than firing
	index int32  // in the group

	id     uint64
	group  *group
	next   Instant // that the timer stands for, 0 if none
	spec   *spec   // replaced, never changed
	do     Body
	parent context.Context
}

type flags uint16

const (
	gone     flags = 1 << iota
	paused         // no fire of the clock
	once           // of In or Submit: gone after its run
	reusable       // of In: may be used for another when it is over
	catching       // there is more to catch up on than was begun
	behind         // something is due, and waits until what runs has ended
	popped         // being decided
	lapsed         // what is due came while it was paused
	resync         // the clock was set back far: ask the trigger again, from the present
)

// spec is what Add has made of a Job. Many one-shots share one. What each fire
// looks at comes first, to be on few cache lines.
type spec struct {
	period  time.Duration // of a trigger that is a plain grid, else 0
	queue   *queue
	series  *series
	claims  []claim  // the queue's gate, then those of Needs
	gate    [1]claim // what claims is made of where there are no Needs
	allowed int      // runs under way at once
	level   int      // of priority, from 0
	steady  bool
	asks    bool // State or Guard
	bounded bool // by Timeout or Deadline

	Job
}

// grid is the distance between the instants of a trigger if that never changes,
// so that it need not be asked: every instant is one period after that before.
func grid(t Trigger) time.Duration {
	if e, ok := t.(Every); ok && e.Jitter == 0 {
		return e.Period
	}
	return 0
}

// regular is a task with what it needs to run once at a time, side by side in
// memory.
type regular struct {
	Task
	live live
	run  run
}

// live is what a task needs from its first fire on. It belongs to the
// Scheduler's lock.
type live struct {
	runs     []*run // waiting, executing, resting; orphans unless the job is re-entrant
	buffered []occasion
	missed   uint64        // instants that the next run stands for, counted so far
	first    Instant       // the first of them
	after    time.Duration // what is later is a misfire
	pace     timer.Time    // what is caught up on next begins no sooner
	spare    *run
}

// busy reports whether as many runs are under way as may be.
func (t *Task) busy() bool { return t.live != nil && len(t.live.runs) >= t.spec.allowed }

func (l *live) add(r *run) { l.runs = append(l.runs, r) }

// take removes a run and reports whether it was there.
func (l *live) take(r *run) bool {
	for i, x := range l.runs {
		if x == r {
			last := len(l.runs) - 1
			l.runs[i] = l.runs[last]
			l.runs[last] = nil
			l.runs = l.runs[:last]
			return true
		}
	}
	return false
}

// taskTimer is the task as its timer calls it, under the lock.
type taskTimer Task

func (x *taskTimer) Fire(now timer.Time) {
	t := (*Task)(x)
	s := t.sched
	if s.closing && t.flags&gone == 0 {
		return
	}
	t.flags |= popped
	s.due = append(s.due, due{task: t, spec: t.spec, gen: t.gen, at: t.next, when: t.timer.When(), flags: t.flags})
	t.flags &^= resync | lapsed
}

// Name returns the job's.
func (t *Task) Name() string { return t.spec0().Name }

// spec0 is the spec of now.
func (t *Task) spec0() *spec {
	t.sched.mu.Lock()
	defer t.sched.mu.Unlock()
	return t.spec
}

// Cancel ends the task: nothing of it begins any more, and the contexts of its
// runs end. It reports whether the task was there. It does not wait for bodies.
func (t *Task) Cancel() bool {
	s := t.sched
	s.mu.Lock()
	was := t.flags&gone == 0
	if was {
		s.drop(t, Stopped, ErrCancelled)
	}
	s.release()
	return was
}

// Run lets the job run now, whatever its trigger says and whether or not it is
// paused, and returns when that has been decided: with ErrOverlap, ErrQueueFull,
// ErrGone, ErrClosed, or nil. Where the queue says so it waits for room, until
// the context ends. State and Guard are not asked.
func (t *Task) Run(ctx context.Context) error { return t.sched.byHand(ctx, t) }

// Next returns the instant that the task is due at next, the zero time if there
// is none, or if it is paused.
func (t *Task) Next() time.Time {
	t.sched.mu.Lock()
	defer t.sched.mu.Unlock()
	if t.flags&(gone|paused) != 0 {
		return time.Time{}
	}
	return t.next.Time()
}

// drop ends a task. What of it is due and not decided yet is decided still, to
// have its line; but for a Once that somebody cancels, which has not fired then.
// Locked.
func (s *Scheduler) drop(t *Task, why Reason, cause error) {
	now, next := timer.Time(0), t.next
	if t.flags&reusable == 0 || s.closing {
		now = s.clock.Now()
	}
	t.why = why
	s.remove(t)
	if next != 0 && now != 0 && t.flags&popped == 0 && s.bases.of(t.spec.steady).mono(next) <= now {
		t.next = next
		s.set(t.heap, &t.timer, now)
	}
	l := t.live
	if l == nil || len(l.runs)+len(l.buffered) == 0 {
		s.reuse(t)
		return
	}
	now = s.clock.Now()
	for _, o := range l.buffered {
		s.lost(t, o, Cancelled, why, now)
	}
	l.buffered = nil
	for i := len(l.runs) - 1; i >= 0; i-- {
		r := l.runs[i]
		switch r.stage {
		case executing:
			s.halt(r, why, cause, r.spec.Grace, now)
			if r.orphan { // it has its line now: the next try that would have had it does not come
				s.write(r, Orphaned, r.stop, now)
			}
		case waiting:
			s.withdraw(r, now)
			s.finish(r, Cancelled, why, now)
		case resting:
			s.count.Retrying--
			s.finish(r, Cancelled, why, now)
		}
	}
}

// remove takes a task from the Scheduler. Runs of it may go on. Locked.
func (s *Scheduler) remove(t *Task) {
	t.flags |= gone
	t.gen++
	t.next = 0
	s.stop(t.heap, &t.timer)
	s.tasks--
	if t.flags&reusable != 0 && t.group == s.endless { // it stays there, if it is used again
		return
	}
	if t.spec.Name != "" {
		delete(s.names, t.spec.Name)
	}
	s.part(t)
}
