package sched

import "time"

// Waits is what a run asks how long to rest.
func Waits(p Retry) func() time.Duration { return p.waits() }

// Places are those of tasks in their groups, gaps among them.
func Places(s *Scheduler) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.groups {
		n += len(g.tasks)
	}
	return n
}
