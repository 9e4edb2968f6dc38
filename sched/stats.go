package sched

import (
	"math/bits"
	"time"

	"github.com/weir-go/weir/timer"
)

// The bounds of a Skew double from 64 µs to 67 s.
const (
	skewFirst = 64 * time.Microsecond
	skewBins  = 21
)

// Skew says how late something was. Unlike timer.Histogram it is small: there is
// one for each type of job and queue.
type Skew struct {
	Count uint64
	Sum   time.Duration
	Max   time.Duration
	bins  [skewBins + 1]uint64 // the last one has no bound
}

// add counts one; what was early counts as on time.
func (k *Skew) add(d time.Duration) {
	d = max(d, 0)
	k.Count++
	k.Sum += d
	k.Max = max(k.Max, d)
	k.bins[min(bits.Len64(uint64(max(d-1, 0)/skewFirst)), skewBins)]++
}

// Buckets calls yield for each bound, in ascending order, with how many were at
// most that, those of the bounds before included, as Prometheus counts. What is
// above the last bound is in Count only.
func (k *Skew) Buckets(yield func(most time.Duration, n uint64) bool) {
	n := uint64(0)
	for i := range skewBins {
		if n += k.bins[i]; !yield(skewFirst<<i, n) {
			return
		}
	}
}

// Series is what was measured of one type of job in one queue.
type Series struct {
	Type, Queue string // "other" in both: what came after Config.Series of them

	Decided  Skew   // from the instant to the decision
	Began    Skew   // from the decision to the body's first try
	Early    uint64 // times that an instant had not come yet, and was waited for again
	Outcomes [outcomes]uint64
}

// series is one that the Scheduler's lock guards.
type series = Series

// seriesOf returns the series of a type and queue. Locked.
func (s *Scheduler) seriesOf(kind, queue string) *series {
	key := [2]string{kind, queue}
	if x := s.series[key]; x != nil {
		return x
	}
	if len(s.series) >= s.cfg.Series {
		key = [2]string{"other", "other"}
		if x := s.series[key]; x != nil {
			return x
		}
	}
	x := &series{Type: key[0], Queue: key[1]}
	s.series[key] = x
	return x
}

// QueueStats is one queue now.
type QueueStats struct {
	Name     string
	Waiting  int // runs that have not begun
	Capacity int
	Running  int
	Blocked  int // producers that wait for room
	Paused   bool
}

// ResourceStats is one resource now.
type ResourceStats struct {
	Name    string
	N, Free int
	Waiting int // runs that wait for it
}

// Stats is what a Scheduler has counted since New, and what it holds now.
type Stats struct {
	Tasks     int // added and not gone
	Waiting   int // runs that have not begun
	Running   int // bodies, orphans included
	Retrying  int // runs between two tries, or that another replica holds
	Orphans   int // bodies that ignore the end of their context
	Workers   int // goroutines
	Lines     uint64
	Forgotten uint64 // lines that are not kept any more
	Refused   uint64 // tasks and runs that a caller was refused for want of room
	NoWorker  uint64 // times that the pool did not take a worker
	Tries     uint64 // of bodies
	Panics    uint64 // of bodies, triggers and Config.Line
	Lost      uint64 // ends that a Guard or State did not take
	Wakes     uint64 // of the clock
	Steps     uint64 // times that somebody set the wall clock

	Queues    []QueueStats
	Resources []ResourceStats
	Series    []Series

	count [outcomes][reasons]uint64
}

// Instants returns how many due instants ended so, of manual runs too.
func (st *Stats) Instants(o Outcome) (n uint64) {
	for _, c := range st.count[o] {
		n += c
	}
	return n
}

// Each calls yield for each outcome and reason that there were instants of.
func (st *Stats) Each(yield func(o Outcome, r Reason, n uint64) bool) {
	for o := range st.count {
		for r, n := range st.count[o] {
			if n > 0 && !yield(Outcome(o), Reason(r), n) {
				return
			}
		}
	}
}

// Stats returns the counters.
func (s *Scheduler) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.count
	st.Tasks, st.Workers, st.Running, st.Orphans = s.tasks, s.workers, s.executing, len(s.orphans)
	st.Lines, st.Forgotten = s.ledger.lines, s.ledger.lines-uint64(len(s.ledger.ring))
	st.count = s.ledger.count
	for _, q := range s.queues {
		st.Waiting += q.ages.n
		st.Queues = append(st.Queues, q.stats())
	}
	for _, g := range s.resources {
		st.Resources = append(st.Resources, ResourceStats{g.name, g.total, g.free, g.waiting})
	}
	for _, x := range s.series {
		st.Series = append(st.Series, *x)
	}
	return st
}

// decided measures a fire that was decided. Locked.
func (x *series) decided(due, now timer.Time) {
	x.Decided.add(now.Sub(due))
}
