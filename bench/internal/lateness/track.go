// Package lateness measures how late the ticks of a ticker are against the grid that was asked for:
//
//	grid      start ┼─────────┼─────────┼─────────┼─────────┼─────────┼
//	tick            1         2                        5    6         7
//	late            ├0        ├─0       ├─────────────►│    ├0        ├──
//	                                    3 and 4 had no tick of their own: missed
//
// The same arithmetic is used for every ticker: it knows when a tick had come to the user's code and which one it was.
package lateness

import "time"

// A Track is what came of one ticker. Instants are durations since the grid's start.
type Track struct {
	Period time.Duration
	Skip   uint64 // points of the grid at the beginning that are not counted: the warm-up

	Late   []time.Duration // of each tick, in order
	Missed uint64          // points that passed without a tick of their own
	Last   uint64          // the point of the latest tick
	Bad    uint64          // ticks that came before their time, twice, or out of order

	next uint64 // the first point that had not passed when the latest tick came
}

// NewTrack is for about n ticks after the first skip.
func NewTrack(period time.Duration, skip, n uint64) *Track {
	return &Track{Period: period, Skip: skip, Late: make([]time.Duration, 0, n+n/8+16), next: 1}
}

// Tick notes that the n-th tick came at the instant at. It is late against the first point that waited for it: the
// one after the last point that had passed when the tick before it came, or n itself where that is earlier. So a tick
// that takes the place of others is as late as the first of them, whether the ticker says that it is the first one
// (the runtime's, which keeps the old tick) or the last one (weir's, which keeps the newest).
func (t *Track) Tick(n uint64, at time.Duration) {
	if n <= t.Last || at < t.at(n) {
		t.Bad++
	}
	if n > t.Skip {
		t.Late = append(t.Late, at-t.at(min(n, t.next)))
		if first := max(t.Last, t.Skip) + 1; n > first {
			t.Missed += n - first
		}
	}
	t.Last = max(t.Last, n)
	t.next = max(t.next, uint64(max(at, 0)/t.Period)+1)
}

// Points is how many points of the grid have been counted so far.
func (t *Track) Points() uint64 { return max(t.Last, t.Skip) - t.Skip }

// at is the instant of the n-th point.
func (t *Track) at(n uint64) time.Duration { return time.Duration(n) * t.Period }
