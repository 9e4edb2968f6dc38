package timer

import (
	"sync"
	"sync/atomic"
)

// A shard is a heap with a lock around it: a part of a Clock's timers. What
// comes due is collected under the lock and run without it, so that whatever a
// callback does with its clock it does not wait for itself.
type shard struct {
	clock *Clock
	wall  bool // instants are wall-clock time, nanoseconds since 1970

	// The earliest instant there may be, for the clock's goroutine to look at
	// without the lock. Changed under the lock.
	first atomic.Int64

	mu   sync.Mutex
	heap Heap
	due  []due // collected by an Advance that runs
	shut bool

	_ [64]byte // the next shard's lock is on another cache line
}

// due is what a shard's timers hand over when they fire. run is called on the
// clock's goroutine, without a lock.
type due interface{ run() }

// now is the present instant as the shard's timers count it.
func (s *shard) now() Time {
	if s.wall {
		return s.clock.wallNow()
	}
	return s.clock.Now()
}

// mono is an instant of the shard's as Now counts.
func (s *shard) mono(when Time) Time {
	if when == Never {
		return Never
	}
	return when.Add(-s.clock.ahead(s.wall))
}

// arm sets t and reports whether it did: not on a clock that was closed.
func (s *shard) arm(t *Timer, when Time) bool {
	s.mu.Lock()
	if s.shut {
		s.mu.Unlock()
		return false
	}
	s.heap.Set(t, when)
	s.armed(when)
	return true
}

// armed gives the lock back after a timer was set, and shortens the clock's
// sleep if that is the first one now.
func (s *shard) armed(when Time) {
	earliest := int64(when) < s.first.Load()
	if earliest {
		s.first.Store(int64(when))
	}
	s.mu.Unlock()
	if earliest {
		s.clock.hurry(s.mono(when))
	}
}

// stop disarms t and reports whether it was active. The instant that the
// clock's goroutine sleeps for stays: to wake up once for nothing is cheaper
// than to look for the next instant on each stop.
func (s *shard) stop(t *Timer) (was bool) {
	s.mu.Lock()
	was = s.heap.Stop(t)
	s.mu.Unlock()
	return was
}

// batch is how many timers come due under one hold of the lock: so many take
// some ten microseconds, for which others may have to wait.
const batch = 256

// fire runs what is due, a batch at most, in storage that it is lent and gives
// back. What is left keeps the clock from sleeping.
func (s *shard) fire(todo []due) []due {
	s.mu.Lock()
	s.due = todo[:0]
	s.heap.advance(s.now(), batch)
	todo, s.due = s.due, nil
	next, _ := s.heap.Next()
	s.first.Store(int64(next))
	s.mu.Unlock()
	for i, d := range todo {
		todo[i] = nil // hold nothing that is over
		d.run()
	}
	return todo
}

// close lets every timer that is set come due, marked as ended with the clock.
func (s *shard) close() {
	s.mu.Lock()
	s.shut = true
	s.due = nil
	s.heap.Advance(Never)
	ended := s.due
	s.due = nil
	s.first.Store(int64(Never))
	s.mu.Unlock()
	for _, d := range ended {
		if e, ok := d.(interface{ end() }); ok {
			e.end()
		}
	}
}
