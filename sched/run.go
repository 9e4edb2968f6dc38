package sched

import (
	"time"

	"github.com/weir-go/weir/timer"
)

// stage is how far a run is.
type stage uint8

const (
	waiting   stage = iota // to begin: ready, or parked at a gate
	executing              // its body is being called, or Guard and State are asked
	resting                // between two tries
	ending                 // its body has returned, and Guard and State are told
	over
)

// An occasion is a fire that was decided: what a run is about.
type occasion struct {
	instant, first Instant
	missed         uint64
	due, decided   timer.Time
	again, manual  bool
}

// A run is an occasion on its way to a line of the ledger.
//
//	waiting ──► executing ──► line, over
//	   ▲            │  └──► orphan: line; over when the body returns
//	   └─ resting ◄─┘
//
// It belongs to the Scheduler's lock. The worker that executes it reads what does
// not change meanwhile. Its storage is used again, so all that is of one occasion
// is in progress.
type run struct {
	progress
	place link // ready, or parked at a gate
	age   link // in its queue, while it waits

	// For the deadline while it waits, the next try while it rests, and while it
	// executes the time-out, then the grace.
	timer timer.Timer
}

// progress is what a run has come to.
type progress struct {
	occasion
	task  *Task
	spec  *spec // the task's when the run was decided
	at    *gate // where it is parked
	let   bool  // a gate has let it go on: it need not stand behind those that wait there
	stage stage

	began  timer.Time // of the last try
	tries  int
	ctx    *runContext
	stop   Reason // why its context was ended, NoReason if it was not
	err    error  // of the last try
	reason Reason // why there is one
	waits  func() time.Duration
	grip   *grip
	mark   Mark

	left   time.Duration // of another's hold, when it was asked for; 0: none
	waited bool          // for that, at least once

	handed  bool // its place in the queue was given to another
	orphan  bool
	lined   bool // its line is written: what is left is to come back
	replace bool // counts in Scheduler.replaced
	called  bool // the body, at least once. Owned by the worker
}

// newRun makes a run, in storage of before if there is some. Locked.
func (t *Task) newRun(o occasion) *run {
	l := t.live
	r := l.spare
	if r == nil {
		r = new(run)
		r.init()
	} else {
		l.spare = nil
	}
	r.progress = progress{occasion: o, task: t, spec: t.spec}
	return r
}

func (r *run) init() {
	r.timer.Init((*runTimer)(r))
	r.place.r, r.age.r = r, r
}

// level is where the run stands among those of its kind.
func (r *run) level() int { return r.spec.level }

// claims is what the run takes at a gate.
func (r *run) claims(g *gate) int {
	for _, c := range r.spec.claims {
		if c.gate == g {
			return c.n
		}
	}
	return 0
}

// runTimer is the run as its timer calls it, under the lock.
type runTimer run

func (x *runTimer) Fire(now timer.Time) {
	r := (*run)(x)
	s := r.task.sched
	switch {
	case r.stage == waiting:
		s.withdraw(r, now)
		s.finish(r, Dropped, TooLate, now)
	case r.stage == resting:
		delete(s.others, r)
		s.enqueue(r, now)
	case r.stage == executing && r.stop == NoReason:
		reason := TimedOut
		if d := r.spec.Deadline; d > 0 && now >= r.due.Add(d) {
			reason = TooLate
		}
		s.halt(r, reason, ErrTimeout, r.spec.Grace, now)
	case r.stage == executing && !r.orphan:
		s.abandon(r, now)
	}
}

// limit returns when a try that begins now has to be over, Never if nothing says
// so.
func (r *run) limit(now timer.Time) timer.Time {
	end := timer.Never
	if r.spec.Timeout > 0 {
		end = now.Add(r.spec.Timeout)
	}
	if r.spec.Deadline > 0 {
		end = min(end, r.due.Add(r.spec.Deadline))
	}
	return end
}

// begin makes the run execute on the worker that calls it. Locked.
func (s *Scheduler) begin(r *run, now timer.Time) {
	s.unqueue(r)
	r.stage, r.began = executing, now
	if r.tries == 0 && !r.waited {
		r.spec.series.Began.add(now.Sub(r.decided))
	}
	r.tries++
	r.err, r.reason, r.left = nil, NoReason, 0
	s.count.Tries++
	s.executing++
	r.spec.queue.running++
	s.stop(r.task.heap, &r.timer) // of the deadline to begin by
	r.ctx = &runContext{parent: r.task.parent}
	if !r.spec.bounded {
		return
	}
	if end := r.limit(now); end != timer.Never {
		r.ctx.until = int64(s.bases.wall.instant(end))
		s.set(r.task.heap, &r.timer, end)
	}
}

// halt ends the context of a run that executes. Locked.
func (s *Scheduler) halt(r *run, why Reason, cause error, grace time.Duration, now timer.Time) {
	if r.stop != NoReason {
		if r.stop == TimedOut && (why == Replaced || why == HoldLost) { // there is no next try now
			if r.stop = why; r.orphan {
				s.write(r, Orphaned, why, now)
			}
		}
		return
	}
	r.stop = why
	r.ctx.end(cause)
	s.set(r.task.heap, &r.timer, now.Add(grace))
}

// abandon makes an orphan of a run whose body goes on although its context has
// ended long ago. Locked.
func (s *Scheduler) abandon(r *run, now timer.Time) {
	r.orphan = true
	s.orphans[r] = struct{}{}
	if r.spec.Orphan == ReplaceSlot && s.replaced < s.cfg.Replaced {
		r.replace, r.handed = true, true
		s.replaced++
		r.spec.claims[0].gate.give(1, now)
	}
	again := r.stop == TimedOut && r.tries < r.spec.Retry.Tries && !r.tooLate(now) && r.task.flags&gone == 0
	switch {
	case again && !r.detachable(): // its line comes after the next try, which comes after its end
		return
	case again:
		s.detach(r, now)
	default:
		s.write(r, Orphaned, r.stop, now)
	}
	if r.spec.Reentrant {
		r.task.live.take(r)
		s.settled(r.task, now)
	}
}

// detachable reports whether the next try may go on beside the body: not while
// Guard or State have not answered yet. Locked.
func (r *run) detachable() bool {
	return r.spec.Reentrant && (r.manual || (!r.spec.Guarded || r.grip != nil) && (!r.spec.Durable || r.mark.Fence != 0))
}

// detach lets the next try of a re-entrant job go on in a run of its own, which
// will have the line. Locked.
func (s *Scheduler) detach(r *run, now timer.Time) {
	n := r.task.newRun(r.occasion)
	n.spec, n.tries, n.waits = r.spec, r.tries, r.waits
	n.began, n.err, n.reason = r.began, ErrTimeout, TimedOut
	n.grip, n.mark, n.called = r.grip, r.mark, true
	if n.grip != nil {
		n.grip.run = n
	}
	r.grip, r.mark = nil, Mark{}
	r.lined = true
	r.task.live.add(n)
	s.rest(n, now)
}

// tooLate reports whether the deadline of the whole run has passed.
func (r *run) tooLate(now timer.Time) bool {
	return r.spec.Deadline > 0 && now >= r.due.Add(r.spec.Deadline)
}

// rest lets a run wait for its next try. Locked.
func (s *Scheduler) rest(r *run, now timer.Time) {
	if r.waits == nil {
		r.waits = r.spec.Retry.waits()
	}
	r.stage, r.stop = resting, NoReason
	s.count.Retrying++
	s.set(r.task.heap, &r.timer, now.Add(r.waits()))
}

// triesAgain reports whether a run whose body has returned goes on. Locked.
func (s *Scheduler) triesAgain(r *run, now timer.Time) bool {
	return r.err != nil && !r.lined && r.tries < r.spec.Retry.Tries &&
		(r.stop == NoReason || r.stop == TimedOut) && r.task.flags&gone == 0 && !s.cancelled &&
		r.reason != Taken && r.reason != Stale && r.reason != HoldLost && !r.tooLate(now) && !permanent(r.err)
}

// returned is called when the body of a run has: tokens come back. Locked.
func (s *Scheduler) returned(r *run, now timer.Time) {
	s.stop(r.task.heap, &r.timer)
	s.executing--
	r.spec.queue.running--
	if r.orphan {
		delete(s.orphans, r)
		r.orphan = false
	}
	if r.replace {
		r.replace = false
		s.replaced--
	}
	for i, c := range r.spec.claims {
		if i > 0 || !r.handed {
			c.gate.give(c.n, now)
		}
	}
	r.handed = false
}

// settle ends a run whose body has returned for the last time. Locked.
func (s *Scheduler) settle(r *run, now timer.Time) {
	switch {
	case r.lined:
		s.leave(r, now)
	case r.err == nil && r.tries > 1:
		s.finish(r, Retried, r.reason, now)
	case r.err == nil:
		s.finish(r, Ran, NoReason, now)
	case r.reason == Taken || r.reason == Stale:
		s.finish(r, Skipped, r.reason, now)
	case r.stop == TimedOut || r.stop == TooLate || r.stop == HoldLost:
		s.finish(r, Failed, r.stop, now)
	case r.stop != NoReason:
		s.finish(r, Cancelled, r.stop, now)
	default:
		s.finish(r, Failed, r.reason, now)
	}
}

// finish writes the run's line, and it is over. Locked.
func (s *Scheduler) finish(r *run, o Outcome, why Reason, now timer.Time) {
	s.write(r, o, why, now)
	s.leave(r, now)
}

// leave takes a run that is over from its task. Locked.
func (s *Scheduler) leave(r *run, now timer.Time) {
	r.stage = over
	delete(s.others, r)
	s.stop(r.task.heap, &r.timer)
	t := r.task
	if c := r.disclaim(); !c.none() {
		s.left = append(s.left, c)
	}
	if t.live.take(r) {
		s.settled(t, now)
	}
	r.ctx, r.waits, r.err = nil, nil, nil
	t.live.spare = r
	if t.flags&gone != 0 {
		s.reuse(t)
	}
}
