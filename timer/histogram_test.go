package timer

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBucketsAreInOrder(t *testing.T) {
	require.Equal(t, 0, bin(0))
	require.Equal(t, binCount-1, bin(1<<62))
	for i := range binCount - 1 {
		require.Less(t, bound(i), bound(i+1))
		require.Equal(t, i, bin(bound(i)-1), i)
		require.Equal(t, i+1, bin(bound(i)), i)
	}
}

// A quantile is what a sorted list says, at most an eighth above.
func TestQuantilesAgainstASortedList(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, n := range []int{1, 2, 10, 999, 20_000} {
		var h tally
		var all []time.Duration
		var sum time.Duration
		for range n {
			d := time.Duration(r.Int64() >> (29 + r.IntN(34)))
			h.Add(d)
			sum += d
			all = append(all, d)
		}
		slices.Sort(all)
		s := h.snapshot()
		require.EqualValues(t, n, s.Count)
		require.Equal(t, sum/time.Duration(n), s.Mean())
		require.Equal(t, all[n-1], s.Max)
		for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
			want := all[max(0, min(n-1, int(float64(n)*q+0.999999)-1))]
			got := s.Quantile(q)
			require.GreaterOrEqual(t, got, want, "%d of %d", int(q*1000), n)
			require.LessOrEqual(t, got, max(want+want/8+1, 1<<firstBits), "%d of %d", int(q*1000), n)
		}
		var seen uint64
		last := time.Duration(-1)
		for below, n := range s.Buckets {
			require.Greater(t, below, last)
			last, seen = below, seen+n
		}
		require.EqualValues(t, n, seen)
	}
	require.Zero(t, (&Histogram{}).Mean())
	require.Zero(t, (&Histogram{}).Quantile(0.5))
}

func TestTallyOfMany(t *testing.T) {
	var h tally
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 1000 {
				h.Add(time.Duration(g*1000 + i))
			}
		})
	}
	h.Add(-5) // a clock that went back: nothing is early
	all.Wait()
	s := h.snapshot()
	require.EqualValues(t, 8001, s.Count)
	require.EqualValues(t, 7999, s.Max)
	require.EqualValues(t, 7999*8000/2, s.Sum)
}
