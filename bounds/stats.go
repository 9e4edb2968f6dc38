package bounds

// Stats is what Bounds have counted since New, and what they are now.
type Stats struct {
	Verdict Verdict

	Limit     int // descriptors that the process may have
	Capacity  int // of them, those that are not the reserve: what loads are parts of
	Taken     int // here and not given back, of all classes
	Untracked int // that the kernel knows of besides, by its last count
	Classes   [Classes]ClassStats

	Streams        uint64 // let in by Admit
	StreamsRefused uint64 // and not let in; ResourceStats.Refused says why

	Resources []ResourceStats // descriptors first

	Counts      uint64 // times that the kernel was asked how many descriptors are open
	CountErrors uint64 // and did not say
	Overdrawn   uint64 // given back without having been taken: a mistake of the program's
	ChangesLost uint64 // that Config.Changed was not told in time
}

// ClassStats are of the descriptors of one class.
type ClassStats struct {
	Used    int    // now
	Share   int    // see Shares
	Taken   uint64 // ever, by Take and by Force
	Refused uint64 // by Take; ResourceStats.Refused says why
}

// ResourceStats are of one resource.
type ResourceStats struct {
	Resource  Resource
	State     State
	Load      float64        // what is in use of what there is
	Entered   [States]uint64 // times that it came to each state
	Exhausted uint64         // times that somebody found none

	// Refused counts what was refused for want of this, by what it was and by the
	// state then: a class, or 0 for a stream. In Normal it is a class that has its
	// share, or a stream that the ramp leaves out.
	Refused [Classes][States]uint64
}

// Stats returns the counts. Any goroutine.
func (b *Bounds) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Stats{
		Verdict:        b.Verdict(),
		Limit:          b.fds.limit,
		Capacity:       b.fds.capacity,
		Taken:          b.fds.taken,
		Untracked:      b.fds.untracked,
		Streams:        b.streams.let.Load(),
		StreamsRefused: b.streams.refused.Load(),
		Counts:         b.counts,
		CountErrors:    b.countErrs,
		Overdrawn:      b.fds.overdrawn,
		ChangesLost:    b.lost,
	}
	for c := range s.Classes {
		s.Classes[c] = ClassStats{Used: b.fds.used[c], Share: b.fds.shares[c],
			Taken: b.classes[c].let.Load(), Refused: b.classes[c].refused.Load()}
	}
	for _, r := range b.resources {
		s.Resources = append(s.Resources, ResourceStats{Resource: r.name, State: r.machine.state, Load: r.load,
			Entered: r.entered, Exhausted: r.outs, Refused: r.refused})
	}
	return s
}
