package sched

import "context"

// A group is the tasks below one parent context: it is asked once for all of
// them to be told when it ends, not once for each. Those whose parents never end
// are one group, too. It belongs to the Scheduler's lock.
//
//	parent ── context.AfterFunc ──► group ─┬─ task
//	                                       ├─ (gap)
//	                                       └─ task
//
// A task that is gone leaves a gap, so that taking one out touches no other: of a
// million, each would be a cache miss. So would be its own place, and one that In is
// going to use again therefore stays where it is, among those without an end.
type group struct {
	done  <-chan struct{}
	tasks []*Task
	gaps  int
	dead  bool        // the parent has ended, and all of them are being dropped
	leave func() bool // tells the parent that nobody waits any more
}

// join puts the task in the group of its parent. Locked.
func (s *Scheduler) join(t *Task) {
	done := t.parent.Done()
	g := s.endless
	switch {
	case done != nil:
		if t.group == s.endless { // it was there for its last parent
			s.part(t)
		}
		g = s.groups[done]
	case t.group == g:
		return
	}
	if g == nil {
		g = &group{done: done}
		s.groups[done] = g
		if done != nil {
			g.leave = context.AfterFunc(t.parent, func() { s.bereave(g) })
		}
	}
	t.group, t.index = g, int32(len(g.tasks))
	g.tasks = append(g.tasks, t)
}

// part takes it out. Locked.
func (s *Scheduler) part(t *Task) {
	g := t.group
	if g.dead {
		return
	}
	g.tasks[t.index] = nil
	g.gaps++
	for n := len(g.tasks); n > 0 && g.tasks[n-1] == nil; n-- { // often the newest
		g.tasks = g.tasks[:n-1]
		g.gaps--
	}
	switch {
	case len(g.tasks) == 0 && g.done != nil:
		delete(s.groups, g.done)
		g.leave()
	case g.gaps > 64 && g.gaps > len(g.tasks)/2:
		g.close()
	}
}

// close closes the gaps: half of the tasks have gone since it was done last. The
// storage of many that are gone is given back.
func (g *group) close() {
	kept := g.tasks[:0]
	if few := len(g.tasks) - g.gaps; few < cap(g.tasks)/4 {
		kept = make([]*Task, 0, 2*few)
	}
	for _, t := range g.tasks {
		if t != nil {
			t.index = int32(len(kept))
			kept = append(kept, t)
		}
	}
	clear(g.tasks[min(len(kept), len(g.tasks)):])
	g.tasks, g.gaps = kept, 0
}

// some is how many tasks are dealt with under one hold of the lock where there
// may be many.
const some = 1024

// bereave ends the tasks whose parent has ended.
func (s *Scheduler) bereave(g *group) {
	s.mu.Lock()
	tasks := g.tasks
	if !g.dead {
		g.dead, g.tasks = true, nil
		delete(s.groups, g.done)
	}
	for i, t := range tasks {
		if i%some == some-1 {
			s.release()
			s.mu.Lock()
		}
		if t != nil && t.flags&gone == 0 && t.group == g { // it may be another's by now
			s.drop(t, ParentEnded, context.Cause(t.parent))
		}
	}
	s.release()
}
