package drive

import (
	"fmt"
	"math/bits"
	"time"
)

// Latency is a histogram of durations. Its buckets grow with the value, so that
// every figure read from it is at most 1 % above the true one, whether that was
// 3 µs or 3 s.
//
//	value     0 ... 255 | 256 ... 511 | 512 ... 1023 | 1024 ... 2047 | ...
//	bucket      1 ns    |    2 ns     |     4 ns     |     8 ns      |
//	           256 of   |   128 of    |    128 of    |    128 of     |
//
// The zero Latency is empty and ready. It isn't safe for concurrent use: the
// driver keeps one for each loop and merges them at the end.
type Latency struct {
	counts *[buckets]uint64 // nil while nothing has been recorded
	count  uint64
	max    time.Duration
}

const (
	// Within one power of two a value is told apart by its 7 bits below the
	// highest, so a bucket is at most 1/128 of its own lower bound wide.
	fineBits = 7
	fine     = 1 << fineBits

	// Durations from 2^40 ns (18 minutes) on share the last bucket; max is exact.
	maxBits = 40
	buckets = fine * (maxBits - fineBits + 1)
)

// Record adds one duration. Negative ones count as zero. The first call
// allocates the buckets, later ones nothing.
func (l *Latency) Record(d time.Duration) { l.RecordN(d, 1) }

// RecordN adds the same duration n times, at the cost of one.
func (l *Latency) RecordN(d time.Duration, n uint64) {
	if l.counts == nil {
		l.counts = new([buckets]uint64)
	}
	d = max(d, 0)
	l.counts[bucket(uint64(d))] += n
	l.count += n
	l.max = max(l.max, d)
}

// Count returns how many durations have been recorded.
func (l *Latency) Count() uint64 { return l.count }

// Max returns the longest duration recorded, exactly.
func (l *Latency) Max() time.Duration { return l.max }

// P50 returns the median, 0 if nothing has been recorded.
func (l *Latency) P50() time.Duration { return l.Quantile(0.50) }

// P99 returns what 99 of 100 durations don't exceed.
func (l *Latency) P99() time.Duration { return l.Quantile(0.99) }

// P999 returns what 999 of 1,000 durations don't exceed.
func (l *Latency) P999() time.Duration { return l.Quantile(0.999) }

// Quantile returns the duration that the share q of all durations (0 to 1)
// doesn't exceed; 0 if nothing has been recorded.
func (l *Latency) Quantile(q float64) time.Duration {
	if l.count == 0 {
		return 0
	}
	rank := min(max(uint64(q*float64(l.count)), 1), l.count)
	if float64(rank) < q*float64(l.count) && rank < l.count {
		rank++ // the first rank that covers the whole share, not the one before
	}
	var seen uint64
	for i, n := range l.counts {
		if seen += n; seen >= rank {
			return min(upper(i), l.max)
		}
	}
	return l.max
}

// Merge adds everything recorded in other, which is left as it was.
func (l *Latency) Merge(other *Latency) {
	if other.count == 0 {
		return
	}
	if l.counts == nil {
		l.counts = new([buckets]uint64)
	}
	for i, n := range other.counts {
		l.counts[i] += n
	}
	l.count += other.count
	l.max = max(l.max, other.max)
}

// Reset empties l and keeps its buckets.
func (l *Latency) Reset() {
	if l.counts != nil {
		*l.counts = [buckets]uint64{}
	}
	l.count, l.max = 0, 0
}

// String is for people: "p50 448µs  p99 1.2ms  p99.9 3.1ms  max 5.5ms".
func (l *Latency) String() string {
	return fmt.Sprintf("p50 %v  p99 %v  p99.9 %v  max %v",
		short(l.P50()), short(l.P99()), short(l.P999()), short(l.Max()))
}

// bucket finds v's place. The first 2*fine buckets are a nanosecond wide; from
// there on the highest 8 bits of v say which bucket, the rest is dropped.
func bucket(v uint64) int {
	if v >= 1<<maxBits {
		return buckets - 1
	}
	shift := max(bits.Len64(v)-fineBits-1, 0)
	return shift<<fineBits + int(v>>shift)
}

// upper is the largest value that bucket i holds.
func upper(i int) time.Duration {
	shift := max(i>>fineBits-1, 0)
	return time.Duration(i-shift<<fineBits+1)<<shift - 1
}

// short keeps three digits: more would be noise.
func short(d time.Duration) time.Duration {
	for unit := time.Duration(10); ; unit *= 10 {
		if d < 100*unit {
			return d.Round(unit / 10)
		}
	}
}
