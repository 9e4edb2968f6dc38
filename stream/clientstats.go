package stream

import "sync/atomic"

// ClientStats is what a Client has counted, and holds now.
type ClientStats struct {
	Stats // of its sessions and streams; what only servers refuse and end, and Workers, is 0

	Conns   int // ready for calls, or draining
	Calls   int // that have not ended
	Waiting int // of them, those that wait for a connection
	Resting int // and those that wait for when a server wants them back
	Budget  int // calls that may be done again now: see Retry

	Dials      uint64 // connections begun
	DialErrors uint64 // of them, those that never became ready
	Barred     uint64 // connections that were not begun: the target's breaker did not let them
	Connected  uint64 // connections that became ready
	Refused    uint64 // streams that a server has not looked at
	Pushbacks  uint64 // streams that a server has refused and wants back, and that may come back
	Retries    uint64 // of both, those that were opened again
	NoBudget   uint64 // and those that were not: the budget was used up
	GoAways    uint64 // received
	Busy       uint64 // calls refused with ErrBusy
}

type callCounters struct {
	dials, dialErrors, barred, connected, refused, pushbacks, retries, noBudget, goAways, busy atomic.Uint64
}

// Stats returns what has been counted. Any goroutine.
func (c *Client) Stats() ClientStats {
	n := &c.nums
	s := ClientStats{
		Stats: c.count.stats(&c.held),
		Dials: n.dials.Load(), DialErrors: n.dialErrors.Load(), Barred: n.barred.Load(),
		Connected: n.connected.Load(),
		Refused:   n.refused.Load(), Retries: n.retries.Load(),
		Pushbacks: n.pushbacks.Load(), NoBudget: n.noBudget.Load(), GoAways: n.goAways.Load(), Busy: n.busy.Load(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Conns, s.Calls, s.Waiting = len(c.lines), c.calls, c.queue.n
	s.Resting, s.Budget = c.resting.n+c.leaving, int(c.budget)
	return s
}
