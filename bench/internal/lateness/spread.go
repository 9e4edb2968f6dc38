package lateness

import (
	"math"
	"slices"
	"time"
)

// Spread says how durations are distributed. It keeps them all, sorted.
type Spread []time.Duration

// SpreadOf sorts what the lists hold together.
func SpreadOf(lists ...[]time.Duration) Spread {
	s := Spread(slices.Concat(lists...))
	slices.Sort(s)
	return s
}

// Mean is the arithmetic mean, 0 of none.
func (s Spread) Mean() time.Duration { return time.Duration(math.Round(s.mean())) }

func (s Spread) mean() float64 {
	if len(s) == 0 {
		return 0
	}
	sum := 0.0
	for _, d := range s {
		sum += float64(d)
	}
	return sum / float64(len(s))
}

// Sigma is the standard deviation of what was measured (divided by n, not by n-1).
func (s Spread) Sigma() time.Duration {
	if len(s) == 0 {
		return 0
	}
	mean, sum := s.mean(), 0.0
	for _, d := range s {
		sum += (float64(d) - mean) * (float64(d) - mean)
	}
	return time.Duration(math.Round(math.Sqrt(sum / float64(len(s)))))
}

// Quantile is the smallest of the durations that at least the share q of all is not above (nearest rank).
func (s Spread) Quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	// A product that ought to be whole may come out a little above: 0.999 x 1000.
	rank := int(math.Ceil(q*float64(len(s)) - 1e-9))
	return s[min(max(rank, 1), len(s))-1]
}

// Max is the longest, 0 of none.
func (s Spread) Max() time.Duration { return s.Quantile(1) }
