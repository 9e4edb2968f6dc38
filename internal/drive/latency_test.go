package drive

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEveryValueIsInsideItsBucket(t *testing.T) {
	last := -1
	for shift := 0; shift < maxBits; shift++ {
		for _, v := range []uint64{1<<shift - 1, 1 << shift, 1<<shift + 1, 1<<shift | 1<<shift>>1} {
			i := bucket(v)
			require.GreaterOrEqual(t, uint64(upper(i)), v)
			if i > 0 {
				require.Less(t, uint64(upper(i-1)), v)
			}
		}
	}
	// No bucket is skipped and none is shared by values that aren't neighbours.
	for v := uint64(0); v < 1<<14; v++ {
		i := bucket(v)
		require.LessOrEqual(t, i-last, 1, "value %d", v)
		last = i
	}
	require.Equal(t, buckets-1, bucket(1<<maxBits-1))
	require.Equal(t, buckets-1, bucket(1<<63))
}

// A sorted slice is the model; figures may be up to 1 % too high, never too low.
func TestQuantilesAgainstASortedSlice(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, size := range []int{1, 2, 99, 100, 101, 5000} {
		var parts [3]Latency
		var all []time.Duration
		for range size {
			d := time.Duration(r.ExpFloat64() * float64(200*time.Microsecond))
			all = append(all, d)
			parts[r.IntN(len(parts))].Record(d)
		}
		var l Latency
		for i := range parts {
			l.Merge(&parts[i])
		}
		slices.Sort(all)
		for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
			rank := 0
			for float64(rank+1) < q*float64(size) {
				rank++
			}
			got, want := l.Quantile(q), all[rank]
			require.GreaterOrEqual(t, got, want, "size %d q %v", size, q)
			require.LessOrEqual(t, float64(got), 1.01*float64(want)+1, "size %d q %v", size, q)
		}
		require.Equal(t, uint64(size), l.Count())
		require.Equal(t, all[size-1], l.Max())
	}
}

func TestLatencyAtItsEdges(t *testing.T) {
	var l Latency
	require.Zero(t, l.P99())
	l.Merge(&Latency{})
	l.Record(-time.Second)
	require.Zero(t, l.Max())
	l.RecordN(time.Hour, 3)
	require.Equal(t, time.Hour, l.Max())
	require.Equal(t, uint64(4), l.Count())
	l.Reset()
	require.Zero(t, l.Count())
	require.Zero(t, l.Quantile(1))
}

func TestRecordingDoesNotAllocate(t *testing.T) {
	var l Latency
	l.Record(1)
	d := time.Duration(0)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		d += 977
		l.RecordN(d, 2)
	}))
}

func TestLatencyForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 7: "7ns", 448: "448ns", 4486: "4.49µs", 44860: "44.9µs", 448600: "449µs",
		1176900: "1.18ms", 2*time.Second + 3456789: "2s", 2345678901: "2.35s", 62 * time.Second: "1m2s",
	} {
		require.Equal(t, want, short(d).String())
	}
}

func BenchmarkRecord(b *testing.B) {
	var l Latency
	d := time.Duration(1)
	for b.Loop() {
		l.Record(d & 0xfffff)
		d = d*7 + 1
	}
}
