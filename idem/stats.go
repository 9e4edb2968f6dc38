package idem

import "sync/atomic"

// Stats counts what a Client has done. Values never go down, but for Waiting.
type Stats struct {
	Ran       uint64 // times an fn was run
	Replayed  uint64 // results and failures of other calls given
	Busy      uint64 // calls that found their key busy
	Waiting   int64  // calls that wait for a busy key now
	Refused   uint64 // calls that would have waited if there had been room (MaxWaiters)
	Mismatch  uint64
	Unknown   uint64 // ErrUnknown given
	Stuck     uint64
	Released  uint64 // keys freed after an error marked Transient
	TakenOver uint64 // records of owners that died
	Panicked  uint64 // runs of fn that did not return
	Omitted   uint64 // results too large to be kept

	// Lost and Healed suspect that something was done twice: when a run ended,
	// another owner had the record, or the record had gone before its time.
	// Conflict: it had been ended by a person.
	Lost     uint64
	Healed   uint64
	Conflict uint64

	Fenced     uint64 // runs whose context was ended because the lease was about to
	Unguarded  uint64 // runs without a record (Policy.FailOpen)
	Unrecorded uint64 // runs whose end could not be told to the store

	Unavailable uint64 // calls that ended because the store did not answer
	Resent      uint64 // questions to the store without an answer
	Abandoned   uint64 // records left to their lease for the same reason
	Heartbeats  uint64 // leases renewed, or tried to
	Missed      uint64 // heartbeats without an answer
}

// Suspected is how many runs may have had their effect a second time. Zero does
// not prove that none had: an owner that died has counted nothing. Stats of all
// processes that share a Store belong together.
func (s Stats) Suspected() uint64 { return s.Lost + s.Healed + s.Unguarded }

type counters struct {
	ran, replayed, busy, turnedAway, mismatched, unknown, stuck, released atomic.Uint64
	takenOver, panicked, omitted, lost, healed, conflicted                atomic.Uint64
	fenced, unguarded, unrecorded, unavailable, resent, abandoned         atomic.Uint64
	beats, missed                                                         atomic.Uint64
	waiting                                                               atomic.Int64

	clock alarms // set by tests; nil: the runtime's
}

func (c *counters) alarms() alarms {
	if c.clock != nil {
		return c.clock
	}
	return runtimeAlarms{}
}

// Stats returns the counts. They are read one after the other.
func (c *counters) Stats() Stats {
	return Stats{
		Ran: c.ran.Load(), Replayed: c.replayed.Load(), Busy: c.busy.Load(), Waiting: c.waiting.Load(),
		Refused: c.turnedAway.Load(), Mismatch: c.mismatched.Load(), Unknown: c.unknown.Load(),
		Stuck: c.stuck.Load(), Released: c.released.Load(), TakenOver: c.takenOver.Load(),
		Panicked: c.panicked.Load(), Omitted: c.omitted.Load(), Lost: c.lost.Load(), Healed: c.healed.Load(),
		Conflict: c.conflicted.Load(), Fenced: c.fenced.Load(), Unguarded: c.unguarded.Load(),
		Unrecorded: c.unrecorded.Load(), Unavailable: c.unavailable.Load(), Resent: c.resent.Load(),
		Abandoned: c.abandoned.Load(), Heartbeats: c.beats.Load(), Missed: c.missed.Load(),
	}
}
