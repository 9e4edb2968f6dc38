package timer

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// Eight buckets for each doubling: a bucket is at most an eighth wider than the
// durations in it. The first holds all below 64 ns, the last those from 17 s on.
const (
	octaveBits = 3
	firstBits  = 6
	lastBits   = 34
	binCount   = (lastBits-firstBits)<<octaveBits + 2
)

// Histogram says how durations were distributed.
type Histogram struct {
	Count uint64
	Sum   time.Duration
	Max   time.Duration
	bins  [binCount]uint64
}

// Mean returns the average, 0 of none.
func (h *Histogram) Mean() time.Duration {
	if h.Count == 0 {
		return 0
	}
	return h.Sum / time.Duration(h.Count)
}

// Quantile returns the duration that the share q of all were at most (0.99: all
// but a hundredth), rounded up to the bound of its bucket, which is at most an
// eighth more, but never above Max. It is 0 when there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	want := uint64(math.Ceil(q * float64(h.Count)))
	var seen uint64
	for i, n := range h.bins {
		if seen += n; n > 0 && seen >= want {
			return min(bound(i), h.Max)
		}
	}
	return h.Max
}

// Buckets calls yield for each bucket that has any, with the duration that all
// of it are below, in ascending order. The last one has no bound: its is Max.
func (h *Histogram) Buckets(yield func(below time.Duration, n uint64) bool) {
	for i, n := range h.bins {
		if n > 0 && !yield(min(bound(i), h.Max+1), n) {
			return
		}
	}
}

// bin returns the bucket of a duration.
func bin(d time.Duration) int {
	if d < 1<<firstBits {
		return 0
	}
	if d >= 1<<lastBits {
		return binCount - 1
	}
	octave := bits.Len64(uint64(d)) - 1
	part := int(d>>(octave-octaveBits)) & (1<<octaveBits - 1)
	return (octave-firstBits)<<octaveBits + part + 1
}

// bound returns the duration that bucket i ends below.
func bound(i int) time.Duration {
	octave, part := (i-1)>>octaveBits+firstBits, (i-1)&(1<<octaveBits-1)
	switch {
	case i == 0:
		return 1 << firstBits
	case i == binCount-1:
		return 1<<63 - 1
	}
	return time.Duration(1<<octaveBits+part+1) << (octave - octaveBits)
}

// tally is a Histogram that many may add to and read at once. What is read
// while somebody adds may have counted it in one place and not in another yet.
type tally struct {
	sum  atomic.Int64
	max  atomic.Int64
	bins [binCount]atomic.Uint64
}

// Add counts one duration; a negative one counts as 0.
func (t *tally) Add(d time.Duration) {
	d = max(d, 0)
	t.bins[bin(d)].Add(1)
	t.sum.Add(int64(d))
	for top := t.max.Load(); int64(d) > top && !t.max.CompareAndSwap(top, int64(d)); top = t.max.Load() {
	}
}

// snapshot returns what was counted so far.
func (t *tally) snapshot() (h Histogram) {
	for i := range t.bins {
		h.bins[i] = t.bins[i].Load()
		h.Count += h.bins[i]
	}
	h.Sum, h.Max = time.Duration(t.sum.Load()), time.Duration(t.max.Load())
	return h
}
