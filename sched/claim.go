package sched

import (
	"context"
	"errors"
	"time"

	"github.com/weir-go/weir/timer"
)

// A grip is the hold of a run on its Key, as the Guard's word of its loss finds
// it: that may come between two tries, when the next one has been handed to
// another run, or when the storage of the run is another's.
type grip struct {
	held Held
	run  *run  // nil once it was given up
	lost error // why it is over, nil as long as it is not
}

// claim asks the Guard, and writes to the State, before the first try. Not
// locked, but where it reads and leaves what the run has: the next try of an
// orphan takes that over.
func (s *Scheduler) claim(r *run) (fence uint64, why Reason, err error) {
	s.mu.Lock()
	g, mark := r.grip, r.mark
	s.mu.Unlock()
	if r.spec.Guarded {
		if g, why, err = s.hold(r, g); err != nil {
			return 0, why, err
		}
	}
	if r.spec.Durable && mark.Fence == 0 {
		err = asked(func() (err error) {
			mark, err = s.cfg.State.Begin(r.ctx, r.spec.Name, r.instant)
			return err
		})
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
	if g != nil {
		return g.held.Fence(), NoReason, nil
	}
	return mark.Fence, NoReason, nil
}

// hold asks the Guard if the run has no hold yet. What was told to end while it
// asked, and what has lost its hold, has no business in the body. Not locked.
func (s *Scheduler) hold(r *run, g *grip) (_ *grip, why Reason, err error) {
	var (
		held Held
		left time.Duration
	)
	first := g == nil
	if first {
		g = &grip{run: r}
		err = asked(func() (err error) {
			held, err = s.cfg.Guard.Hold(r.ctx, Key{r.spec.Name, r.instant}, func(err error) { s.holdLost(g, err) })
			if other := (*HeldError)(nil); errors.As(err, &other) {
				left = max(other.Left, leastLeft)
			}
			return err
		})
		switch {
		case errors.Is(err, ErrTaken):
			why = Taken
		case err != nil:
			why = GuardFailed
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		g.run, r.left = nil, left
		return nil, why, err
	}
	if first {
		g.held, r.grip = held, g
	}
	switch {
	case g.lost != nil:
		return nil, HoldLost, g.lost
	case first && r.stop != NoReason:
		return nil, GuardFailed, r.ctx.why()
	}
	return g, NoReason, nil
}

// holdLost is what a Guard calls.
func (s *Scheduler) holdLost(g *grip, err error) {
	s.mu.Lock()
	g.lost = errors.Join(ErrLost, err)
	if r := g.run; r != nil && r.stage == executing { // else it ends when its next try is to begin
		s.halt(r, HoldLost, g.lost, r.spec.Grace, s.clock.Now())
	}
	s.release()
}

// leastLeft is the least time between two questions for a run that another holds.
const leastLeft = 100 * time.Millisecond

// waitsForOther reports whether a run that another replica holds is asked for again.
// Locked.
func (s *Scheduler) waitsForOther(r *run, now timer.Time) bool {
	return r.reason == Taken && r.left > 0 && r.stop == NoReason && r.task.flags&gone == 0 && !s.closing && !r.tooLate(now)
}

// await lets a run wait until the other's hold may be over. Locked.
func (s *Scheduler) await(r *run, now timer.Time) {
	r.stage, r.waited = resting, true
	r.tries-- // this was none
	s.others[r] = struct{}{}
	s.count.Retrying++
	s.set(r.task.heap, &r.timer, now.Add(r.left))
}

// leaveToOther gives up a run that waits for another replica's: that is at it, or
// was. Locked.
func (s *Scheduler) leaveToOther(r *run, now timer.Time) {
	s.count.Retrying--
	s.finish(r, Skipped, Taken, now)
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
	c := claimed{nil, r.mark, r.called, r.task.parent}
	if g := r.grip; g != nil {
		c.held, g.run = g.held, nil
	}
	r.grip, r.mark = nil, Mark{}
	return c
}

func (c *claimed) none() bool { return c.held == nil && c.mark.Fence == 0 }

// end ends it, and counts ends that were not taken. Not locked.
func (s *Scheduler) end(c claimed) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.parent), patience)
	defer cancel()
	lost := uint64(0)
	if c.mark.Fence != 0 && c.called && asked(func() error {
		err := s.cfg.State.End(ctx, c.mark)
		if errors.Is(err, ErrStale) {
			return nil // that a later run has begun is as good: none goes back to this one
		}
		return err
	}) != nil {
		lost++
	}
	if c.held != nil && asked(func() error { return c.held.End(ctx, c.called) }) != nil {
		lost++
	}
	s.mu.Lock()
	s.count.Lost += lost
	s.mu.Unlock()
}

// endLeft ends what runs have left behind that were given up between two tries, and
// returns the present, which was now before. Locked, but not while it does.
func (s *Scheduler) endLeft(now timer.Time) timer.Time {
	for len(s.left) > 0 {
		c := s.left[0]
		s.left = append(s.left[:0], s.left[1:]...)
		s.ending++
		s.mu.Unlock()
		s.end(c)
		s.mu.Lock()
		s.ending--
		now = s.clock.Now()
	}
	return now
}
