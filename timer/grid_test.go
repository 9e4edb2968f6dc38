package timer

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The n-th instant is start + n x period to the nanosecond, and passed is its
// inverse; both as big numbers have it.
func TestGridIsExact(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20_000 {
		g := grid{start: Time(r.Int64() >> r.IntN(63)), period: time.Duration(1 + r.Int64()>>r.IntN(63))}
		g.period = max(g.period, 1)
		n := r.Uint64() >> r.IntN(64)
		want := new(big.Int).Mul(new(big.Int).SetUint64(n), big.NewInt(int64(g.period)))
		want.Add(want, big.NewInt(int64(g.start)))
		if !want.IsInt64() || want.Int64() == math.MaxInt64 {
			require.Equal(t, Never, g.at(n), g)
			continue
		}
		require.Equal(t, Time(want.Int64()), g.at(n), "%v %d", g, n)
		require.Equal(t, n, g.passed(g.at(n)))
		if n > 0 {
			require.Equal(t, n-1, g.passed(g.at(n)-1))
		}
	}
	require.Zero(t, grid{start: 10, period: 3}.passed(9), "before the start")
	require.Zero(t, grid{start: math.MinInt64, period: 1}.passed(math.MinInt64))
	old := grid{start: math.MinInt64 + 5, period: time.Hour}
	require.InDelta(t, 1, int64(old.at(old.passed(1)+1)), float64(time.Hour), "on from a start long ago")
}

func TestAlignedGrid(t *testing.T) {
	second := time.Second
	for _, c := range []struct {
		now         Time
		period, add time.Duration
		first       Time
	}{
		{now: Time(1500 * time.Millisecond), period: second, first: Time(2 * second)},
		{now: Time(2 * second), period: second, first: Time(3 * second)},
		{now: Time(2*second) - 1, period: second, first: Time(2 * second)},
		{now: Time(2 * second), period: second, add: 250 * time.Millisecond, first: Time(2250 * time.Millisecond)},
		{now: Time(2300 * time.Millisecond), period: second, add: 250 * time.Millisecond, first: Time(3250 * time.Millisecond)},
		{now: Time(2300 * time.Millisecond), period: second, add: -250 * time.Millisecond, first: Time(2750 * time.Millisecond)},
		{now: -1, period: second, first: 0},
		{now: 5, period: 1, first: 6},
		{now: 1 << 60, period: 1 << 20, add: math.MinInt64 + 3, first: 1<<60 + 3},
	} {
		g := aligned(c.now, c.period, c.add)
		require.Equal(t, c.first, g.at(g.passed(c.now)+1), "%+v", c)
		require.LessOrEqual(t, g.start, c.now)
	}
}
