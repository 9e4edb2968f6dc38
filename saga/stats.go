package saga

import "sync/atomic"

// Stats counts what a Runner has done. Values never go down, but for those that
// say now.
type Stats struct {
	Begun       uint64
	Recovered   uint64 // open sagas taken over by Recover
	Succeeded   uint64
	Compensated uint64
	Stuck       uint64
	Replayed    uint64 // calls of Run for a saga that had ended
	Refused     uint64 // ErrFull
	Lost        uint64 // sagas taken over by another Runner
	Running     int64  // sagas that this Runner is at now

	Calls    uint64 // tries of actions and compensations
	Doubts   uint64 // those of actions that left their effect unknown, or could be tried again
	Failures uint64 // those of compensations that did not succeed
	Panics   uint64 // those that did not return
	Timeouts uint64 // those that ran out of time
	Empty    uint64 // compensations of actions that surely had no effect: nothing was called
	Omitted  uint64 // results that were too large to be kept
	Orphans  int64  // calls that ignore the end of their context and run on now

	Writes    uint64 // records written
	LogErrors uint64 // of writes and reads
}

type counters struct {
	begun, recovered, succeeded, compensated, stuck, replayed, refused, lost atomic.Uint64
	calls, doubts, failures, panics, timeouts, empty, omitted                atomic.Uint64
	writes, logErrors                                                        atomic.Uint64
	orphans                                                                  atomic.Int64
}

// Stats returns the counts. They are read one after the other.
func (r *Runner) Stats() Stats {
	c := &r.count
	r.mu.Lock()
	running := int64(len(r.at))
	r.mu.Unlock()
	return Stats{
		Begun: c.begun.Load(), Recovered: c.recovered.Load(), Succeeded: c.succeeded.Load(),
		Compensated: c.compensated.Load(), Stuck: c.stuck.Load(), Replayed: c.replayed.Load(),
		Refused: c.refused.Load(), Lost: c.lost.Load(), Running: running,
		Calls: c.calls.Load(), Doubts: c.doubts.Load(), Failures: c.failures.Load(), Panics: c.panics.Load(),
		Timeouts: c.timeouts.Load(), Empty: c.empty.Load(), Omitted: c.omitted.Load(), Orphans: c.orphans.Load(),
		Writes: c.writes.Load(), LogErrors: c.logErrors.Load(),
	}
}
