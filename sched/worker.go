package sched

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/weir-go/weir/timer"
)

// Workers are functions on the pool that begin run after run until none is left
// that may begin. One of them at a time is on its way to its first run; when it
// finds more to do it sends for the next:
//
//	wake ──► worker 1: run, and another waits ──► worker 2: run ... ──► worker 3
//
// So short bodies, however many, go through one or two goroutines, and bodies that
// wait get one each, up to Config.Workers. It is how the Go runtime wakes its Ps.

// wanted reports whether a worker is to be sent for. Locked.
func (s *Scheduler) wanted() bool {
	if s.coming {
		return false
	}
	if len(s.left) > 0 && s.ending == 0 && s.own != nil { // also one too many, who takes no run: the others may be orphans
		return true
	}
	return (s.readied > 0 && !s.paused || len(s.left) > 0) && s.workers < s.most()
}

// most is how many workers there may be: beside those of the pool, orphans whose
// place was taken, and callers who run something themselves. Locked.
func (s *Scheduler) most() int { return s.cfg.Workers + s.replaced + s.callers }

// release gives the lock back, and does what waited for that.
func (s *Scheduler) release() {
	send := s.wanted()
	if send {
		s.coming = true
		s.workers++
	}
	lines := s.told
	s.told = nil
	if len(lines) > 0 {
		s.telling++
	}
	s.quiet()
	s.mu.Unlock()
	if send {
		s.send()
	}
	if len(lines) > 0 {
		s.tell(lines)
	}
}

// tell hands lines on. Who waits for the Scheduler waits for that, too.
func (s *Scheduler) tell(lines []Line) {
	panicked := uint64(0)
	for i := range lines {
		panicked += s.say(lines[i])
	}
	s.mu.Lock()
	s.telling--
	s.count.Panics += panicked
	s.quiet()
	s.mu.Unlock()
}

// say hands one on, and returns how often that panicked.
func (s *Scheduler) say(l Line) (panicked uint64) {
	defer func() {
		if recover() != nil {
			panicked = 1
		}
	}()
	s.cfg.Line(l)
	return 0
}

// send has the pool start a worker. If it does not, another try follows, unless a
// worker that is there has come to it before.
func (s *Scheduler) send() {
	if s.pool.Submit(s.loop) == nil {
		return
	}
	s.mu.Lock()
	s.coming = false
	s.workers--
	s.count.NoWorker++
	s.set(0, &s.kick, s.clock.Now().Add(refused))
	s.mu.Unlock()
}

// refused is how long after the pool has refused a worker the next one is sent.
const refused = time.Millisecond

// kicker is the Scheduler as its timer calls it: whoever has the lock sends for a
// worker when he gives it back.
type kicker Scheduler

func (*kicker) Fire(timer.Time) {}

// work is a worker.
func (s *Scheduler) work() {
	s.mu.Lock()
	s.coming = false
	now := s.endLeft(s.clock.Now())
	for r := s.pull(now); r != nil; r = s.pull(now) {
		now = s.endLeft(s.carry(r, now))
	}
	s.workers--
	s.release()
}

// carry executes a run. Locked, but not while the body is called.
func (s *Scheduler) carry(r *run, now timer.Time) timer.Time {
	s.begin(r, now)
	s.release()
	through := false
	defer func() {
		if !through { // the goroutine ends, and the pool's with it
			s.back(r, Panicked, &PanicError{Value: ErrGoexit})
			s.workers--
			s.release()
		}
	}()
	why, err := s.try(r)
	through = true
	return s.back(r, why, err)
}

// back is the return of a worker with a run. It takes the lock.
func (s *Scheduler) back(r *run, why Reason, err error) timer.Time {
	s.mu.Lock()
	now := s.clock.Now()
	r.reason, r.err = why, err
	if why == Panicked {
		s.count.Panics++
	}
	again, waits := s.triesAgain(r, now), s.waitsForOther(r, now)
	if !again && !waits {
		if c := r.disclaim(); !c.none() {
			s.stop(r.task.heap, &r.timer) // its body took no longer than this
			r.stage = ending
			s.mu.Unlock()
			s.end(c)
			s.mu.Lock()
			now = s.clock.Now()
		}
	}
	r.ctx.end(context.Canceled) // what the body has derived from it ends, too
	s.returned(r, now)
	switch {
	case waits:
		s.await(r, now)
	case again:
		s.rest(r, now)
	default:
		s.settle(r, now)
	}
	return now
}

// pull takes the next run that may begin. Locked.
func (s *Scheduler) pull(now timer.Time) *run {
	for s.readied > 0 && !s.paused && s.workers <= s.most() {
		r := s.first()
		s.readied--
		let := r.let
		switch g := r.shut(now); {
		case r.task.parent.Err() != nil: // who has ended before the group was told
			s.unqueue(r)
			s.finish(r, Cancelled, ParentEnded, now)
		case r.tooLate(now): // the clock comes later: it waited elsewhere, or nobody was awake
			s.unqueue(r)
			s.finish(r, Dropped, TooLate, now)
		case g != nil:
			g.park(r, now)
		default:
			for _, c := range r.spec.claims {
				c.gate.take(c.n, now)
			}
			return r
		}
		if let {
			r.passOn(now)
		}
	}
	return nil
}

// fair is how often the lowest priority comes first.
const fair = 16

// first takes a run off the ready lists: those that a gate has let go on before
// those that are new, of the highest priority. Locked.
func (s *Scheduler) first() *run {
	s.turn++
	low := s.turn%fair == 0
	for i := range levels {
		level := levels - 1 - i
		if low {
			level = i
		}
		if r := s.again[level].pop(); r != nil {
			return r
		}
		if r := s.ready[level].pop(); r != nil {
			return r
		}
	}
	return nil // not as long as readied is right
}

// shut returns the first gate that does not let the run pass, nil if all do.
// Locked.
func (r *run) shut(now timer.Time) *gate {
	for _, c := range r.spec.claims {
		if !c.gate.open(c.n, now) || !r.let && c.gate.queued(r.level()) {
			return c.gate
		}
	}
	return nil
}

// try calls the body, once it is sure that it may. Not locked.
func (s *Scheduler) try(r *run) (Reason, error) {
	f := Fire{Job: r.spec.Name, Instant: r.instant, First: r.first, Missed: r.missed, Try: r.tries,
		Again: r.again, Manual: r.manual}
	if r.spec.asks && !r.manual {
		fence, why, err := s.claim(r)
		if err != nil {
			return note(err, why)
		}
		f.Fence = fence
	}
	r.called = true
	err := asked(func() error { return r.task.do(r.ctx, f) })
	if err == nil {
		return NoReason, nil
	}
	return note(err, BodyFailed)
}

// asked calls a body, a Guard or a State. Their panics are errors.
func asked(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}
