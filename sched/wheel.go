package sched

import "github.com/weir-go/weir/timer"

// shards is how many heaps there are: what comes due at one instant is taken from
// one of them at a time, so that the lock is not held for all of a hundred
// thousand jobs of the full second.
const shards = 16

// A wheel is timers of everything: tasks, runs, gates. It belongs to the
// Scheduler's lock.
type wheel [shards]timer.Heap

// next returns the earliest instant at which something may be due.
func (w *wheel) next() timer.Time {
	first := timer.Never
	for i := range w {
		if when, any := w[i].Next(); any {
			first = min(first, when)
		}
	}
	return first
}

// neighbours is log2 of how many tasks that were added one after the other are in
// the same heap: who adds and cancels in turn finds it in the cache.
const neighbours = 8

// heapOf is the number of the heap for the task of this number.
func heapOf(id uint64) uint8 { return uint8(id >> neighbours % shards) }
