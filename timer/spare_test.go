package timer

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpareLeavesAP(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	a, err := NewSpare(3)
	require.NoError(t, err)
	b, err := NewSpare(0)
	require.NoError(t, err)
	require.Equal(t, 3, a.Workers())
	require.Equal(t, before, b.Workers(), "one for each P that there was")
	require.GreaterOrEqual(t, runtime.GOMAXPROCS(0), max(spareProcs(3), before))

	hold, in := make(chan struct{}), make(chan struct{})
	for range 3 {
		require.NoError(t, a.Submit(func() { in <- struct{}{}; <-hold }))
		<-in
	}
	require.ErrorIs(t, a.Submit(func() {}), ErrSpareBusy)
	close(hold)
	require.NoError(t, a.Close(t.Context()))
	require.NoError(t, a.Close(t.Context()), "again")
	require.Greater(t, runtime.GOMAXPROCS(0), 0)
	require.NoError(t, b.Close(t.Context()))
	require.Equal(t, before, runtime.GOMAXPROCS(0), "put back by the last one")
}

// One P is left when all workers compute and the collector has a quarter.
func TestSpareProcs(t *testing.T) {
	for workers := 1; workers < 300; workers++ {
		procs := spareProcs(workers)
		require.GreaterOrEqual(t, procs-(procs+3)/4-workers, 1)
		require.Less(t, procs-1-(procs+2)/4-workers, 1, "no more than it takes")
	}
}
