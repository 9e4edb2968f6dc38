package sched

import (
	"context"
	"errors"
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
	return (s.readied > 0 && !s.paused || len(s.left) > 0) && !s.coming && s.workers < s.most()
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
	for i := range lines {
		s.cfg.Line(lines[i])
	}
	s.mu.Lock()
	s.telling--
	s.quiet()
	s.mu.Unlock()
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
	now := s.clock.Now()
	s.endLeft()
	for r := s.pull(now); r != nil; r = s.pull(now) {
		now = s.carry(r, now)
		s.endLeft()
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
	again := s.triesAgain(r, now)
	if !again {
		if c := r.disclaim(); !c.none() {
			s.mu.Unlock()
			s.end(c)
			s.mu.Lock()
			now = s.clock.Now()
		}
	}
	r.ctx.end(context.Canceled) // what the body has derived from it ends, too
	s.returned(r, now)
	if again {
		s.rest(r, now)
	} else {
		s.settle(r, now)
	}
	return now
}

// pull takes the next run that may begin. Locked.
func (s *Scheduler) pull(now timer.Time) *run {
	for s.readied > 0 && !s.paused && s.workers <= s.most() {
		r := s.first()
		s.readied--
		if g := r.shut(now); g != nil {
			g.park(r, now)
			continue
		}
		for _, c := range r.spec.claims {
			c.gate.take(c.n, now)
		}
		return r
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
			return why, err
		}
		f.Fence = fence
	}
	r.called = true
	err := call(r.task.do, r.ctx, f)
	if err == nil {
		return NoReason, nil
	}
	if p := (*PanicError)(nil); errors.As(err, &p) {
		return Panicked, err
	}
	return BodyFailed, err
}

// call turns a panic into an error.
func call(do Body, ctx context.Context, f Fire) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return do(ctx, f)
}

// claim asks the Guard, and writes to the State, before the first try. Not
// locked, but where it reads and leaves what the run has: the next try of an
// orphan takes that over.
func (s *Scheduler) claim(r *run) (fence uint64, why Reason, err error) {
	s.mu.Lock()
	held, mark := r.held, r.mark
	s.mu.Unlock()
	if r.spec.Guarded && held == nil {
		held, err = s.cfg.Guard.Hold(r.ctx, Key{r.spec.Name, r.instant}, func(err error) { s.holdLost(r, err) })
		if errors.Is(err, ErrTaken) {
			return 0, Taken, err
		}
		if err != nil {
			return 0, GuardFailed, err
		}
		s.mu.Lock()
		r.held = held
		s.mu.Unlock()
	}
	if r.spec.Durable && mark.Fence == 0 {
		mark, err = s.cfg.State.Begin(r.ctx, r.spec.Name, r.instant)
		if errors.Is(err, ErrStale) {
			return 0, Stale, err
		}
		if err != nil {
			return 0, StateFailed, err
		}
		s.mu.Lock()
		r.mark = mark
		s.mu.Unlock()
	}
	if held != nil {
		return held.Fence(), NoReason, nil
	}
	return mark.Fence, NoReason, nil
}

// holdLost is what a Guard calls.
func (s *Scheduler) holdLost(r *run, err error) {
	s.mu.Lock()
	if r.stage == executing {
		s.halt(r, HoldLost, errors.Join(ErrLost, err), r.spec.Grace, s.clock.Now())
	}
	s.release()
}

// patience is how long Guard and State have to take the end of a run.
const patience = 5 * time.Second

// A claimed is what claim has begun for a run.
type claimed struct {
	held   Held
	mark   Mark
	called bool // the body was
	parent context.Context
}

// disclaim returns what the run has; it has it no more. Locked.
func (r *run) disclaim() claimed {
	c := claimed{r.held, r.mark, r.called, r.task.parent}
	r.held, r.mark = nil, Mark{}
	return c
}

func (c *claimed) none() bool { return c.held == nil && c.mark.Fence == 0 }

// end ends it, and counts ends that were not taken. Not locked.
func (s *Scheduler) end(c claimed) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.parent), patience)
	defer cancel()
	lost := uint64(0)
	if c.mark.Fence != 0 && c.called {
		// That a later run has begun is as good: none goes back to this one.
		if err := s.cfg.State.End(ctx, c.mark); err != nil && !errors.Is(err, ErrStale) {
			lost++
		}
	}
	if c.held != nil && c.held.End(ctx, c.called) != nil {
		lost++
	}
	s.mu.Lock()
	s.count.Lost += lost
	s.mu.Unlock()
}

// endLeft ends what runs have left behind that were given up between two tries.
// Locked, but not while it does.
func (s *Scheduler) endLeft() {
	for len(s.left) > 0 {
		c := s.left[0]
		s.left = append(s.left[:0], s.left[1:]...)
		s.ending++
		s.mu.Unlock()
		s.end(c)
		s.mu.Lock()
		s.ending--
	}
}
