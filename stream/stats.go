package stream

import "sync/atomic"

// Stats is what a Server has counted, and holds now.
type Stats struct {
	Sessions int64 // now
	Streams  int64 // now
	Held     int64 // bytes of messages that wait now
	Workers  int   // goroutines of Go methods, idle ones too

	Opened    uint64 // streams
	Failed    uint64 // of them, ended with another status than OK
	Received  uint64 // messages
	Sent      uint64 // messages
	Resets    uint64 // streams that ended by RST_STREAM, or for an error of the peer's
	Deadlines uint64 // streams whose time was up
	Panics    uint64 // of methods and handlers

	Full       uint64 // sends refused with ErrFull
	Withheld   uint64 // times a session's window was withheld for its budget
	OverBudget uint64 // streams refused for the server's budget
	NoWorker   uint64 // streams refused because all workers were busy

	SessionErrors uint64 // sessions that ended for an error or a limit
	Drained       uint64 // sessions that were drained
	Dead          uint64 // sessions whose peer did not answer a PING
	Slow          uint64 // sessions whose peer took too long for SETTINGS or a header block
	PingAbuse     uint64 // sessions that pinged too often

	NotAdmitted uint64 // streams refused by Config.Admit
	Farewells   uint64 // streams refused on a connection of Farewell
	SentAway    uint64 // idle streams ended because the process was short of something
	Dismissed   uint64 // sessions without streams that were drained for that
	TooIdle     uint64 // streams ended by Limits.Idle
	NotSent     uint64 // by Limits.Receive
	NotTaken    uint64 // by Limits.Send
	TooOld      uint64 // by Limits.Age
}

// counters are the Stats of a server.
type counters struct {
	sessions                                    atomic.Int64
	streams                                     atomic.Int64
	opened, failed, received, sent              atomic.Uint64
	resets, expired, full, withheld, overBudget atomic.Uint64
	noWorker, errors, drained, dead, slow       atomic.Uint64
	pings, panics                               atomic.Uint64

	dismissed atomic.Uint64
	reasons   [reasons]atomic.Uint64 // streams refused and ended for them, on servers
}

// tally is what a session counts between two flushes, without atomics.
type tally struct {
	opened, done, bad                            uint32
	received, sent                               uint32
	reset, expired, withheld, overBudget         uint32
	noWorker, failed, drained, dead, slow, pings uint32
}

func (t *tally) ended(status *Status) {
	t.done++
	if status.Code != OK {
		t.bad++
	}
}

// publish adds to the server's counters.
func (t *tally) publish(c *counters) {
	if *t == (tally{}) {
		return
	}
	if d := int64(t.opened) - int64(t.done); d != 0 {
		c.streams.Add(d)
	}
	for _, x := range [...]struct {
		to *atomic.Uint64
		n  uint32
	}{
		{&c.opened, t.opened}, {&c.failed, t.bad}, {&c.received, t.received}, {&c.sent, t.sent},
		{&c.resets, t.reset}, {&c.expired, t.expired}, {&c.withheld, t.withheld}, {&c.overBudget, t.overBudget},
		{&c.noWorker, t.noWorker}, {&c.errors, t.failed}, {&c.drained, t.drained}, {&c.dead, t.dead},
		{&c.slow, t.slow}, {&c.pings, t.pings},
	} {
		if x.n > 0 {
			x.to.Add(uint64(x.n))
		}
	}
	*t = tally{}
}

// Stats returns what has been counted. Any goroutine.
func (s *Server) Stats() Stats {
	all := s.count.stats(&s.held)
	s.workers.mu.Lock()
	all.Workers = s.workers.n
	s.workers.mu.Unlock()
	return all
}

func (c *counters) stats(held *atomic.Int64) Stats {
	why := func(r Reason) uint64 { return c.reasons[r].Load() }
	return Stats{
		Sessions: c.sessions.Load(), Streams: c.streams.Load(), Held: held.Load(),
		Opened: c.opened.Load(), Failed: c.failed.Load(), Received: c.received.Load(), Sent: c.sent.Load(),
		Resets: c.resets.Load(), Deadlines: c.expired.Load(), Panics: c.panics.Load(),
		Full: c.full.Load(), Withheld: c.withheld.Load(), OverBudget: c.overBudget.Load(), NoWorker: c.noWorker.Load(),
		SessionErrors: c.errors.Load(), Drained: c.drained.Load(), Dead: c.dead.Load(), Slow: c.slow.Load(),
		PingAbuse: c.pings.Load(),

		NotAdmitted: why(ReasonAdmission), Farewells: why(ReasonFarewell), SentAway: why(ReasonShortage),
		Dismissed: c.dismissed.Load(),
		TooIdle:   why(ReasonIdle), NotSent: why(ReasonReceive), NotTaken: why(ReasonSend), TooOld: why(ReasonAge),
	}
}
