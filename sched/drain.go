package sched

import (
	"context"
	"slices"
)

// A watcher waits for something to be so. It is looked at whenever the lock is
// given back, and costs nothing while nothing happens.
type watcher struct {
	so   func() bool // locked
	done chan struct{}
}

// quiet tells the watchers whose time has come. Locked.
func (s *Scheduler) quiet() {
	if len(s.watchers) == 0 {
		return
	}
	s.watchers = slices.DeleteFunc(s.watchers, func(w watcher) bool {
		so := w.so()
		if so {
			close(w.done)
		}
		return so
	})
}

// until waits until it is so, or the context ends.
func (s *Scheduler) until(ctx context.Context, so func() bool) error {
	w := watcher{so, make(chan struct{})}
	s.mu.Lock()
	s.watchers = append(s.watchers, w)
	s.release()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watchers = slices.DeleteFunc(s.watchers, func(x watcher) bool { return x.done == w.done })
		return context.Cause(ctx)
	}
}

// still is when nothing runs but orphans, and nothing that waits can begin.
// Locked.
func (s *Scheduler) still() bool {
	return s.calm() && (s.readied == 0 || s.paused)
}

// calm is when nothing is under way but orphans. Locked.
func (s *Scheduler) calm() bool {
	return s.executing == len(s.orphans) && !s.coming && !s.dispatching && s.telling+s.ending+len(s.left) == 0
}

// Wait returns nil when nothing runs and nothing that waits can begin before time
// passes or somebody resumes it: after a test's clock was put forward, all that
// came of it is done. Orphans are not waited for. Otherwise it returns the
// context's cause.
func (s *Scheduler) Wait(ctx context.Context) error { return s.until(ctx, s.still) }

// Close ends the Scheduler, in three steps:
//
//	drain    nothing more begins to be due or is taken; what was due runs, with
//	         its retries, until it has ended or the context does
//	cancel   contexts of bodies end with ErrClosed, and what waits is cancelled
//	         and so are the instants that have passed in the meantime
//	report   bodies that go on after their Grace are left behind: *OrphansError
//
// It waits without using the processor. A program that does not want to drain
// gives it a context that has ended. It is not called from inside a body. Called
// again it waits, too, and returns the same.
func (s *Scheduler) Close(ctx context.Context) error {
	s.once.Do(func() {
		defer close(s.ended)
		s.shutDoor()
		_ = s.until(ctx, func() bool { return s.open == 0 && s.calm() })
		s.clear()
		s.mu.Lock()
		s.endLeft(s.clock.Now()) // there may be orphans only who could
		s.release()
		s.wake() // what was due and is not decided yet
		_ = s.until(context.Background(), s.calm)
		s.err = s.leftBehind()
		if err := s.clock.Close(); s.err == nil {
			s.err = err
		}
		if s.own != nil {
			s.own.Close()
		}
	})
	<-s.ended
	return s.err
}

// shutDoor takes nothing new.
func (s *Scheduler) shutDoor() {
	s.mu.Lock()
	s.closing = true
	for _, q := range s.queues {
		for _, turn := range q.blocked {
			close(turn)
		}
		q.blocked = nil
	}
	now := s.clock.Now()
	for r := range s.others {
		s.leaveToOther(r, now)
	}
	s.release()
}

// clear drops all tasks, and ends what is under way.
func (s *Scheduler) clear() {
	s.mu.Lock()
	s.cancelled = true
	var all []*Task
	for _, g := range s.groups {
		for _, t := range g.tasks {
			if t != nil {
				all = append(all, t)
			}
		}
	}
	for i, t := range all {
		if i%some == some-1 {
			s.release()
			s.mu.Lock()
		}
		if t.flags&gone == 0 {
			s.drop(t, Closed, ErrClosed)
		}
	}
	s.release()
}

// leftBehind is the error that names orphans, nil if there are none.
func (s *Scheduler) leftBehind() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.orphans) == 0 {
		return nil
	}
	e := new(OrphansError)
	for r := range s.orphans {
		e.Jobs = append(e.Jobs, r.spec.Name)
	}
	slices.Sort(e.Jobs)
	return e
}
