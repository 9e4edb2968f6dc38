package spare

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestPoolLeavesAP(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	a, err := New(3)
	require.NoError(t, err)
	b, err := New(0)
	require.NoError(t, err)
	require.Equal(t, 3, a.Workers())
	require.Equal(t, max(1, before-1), b.Workers(), "one fewer than there were Ps")
	require.GreaterOrEqual(t, runtime.GOMAXPROCS(0), max(procs(3), before))

	hold, in := make(chan struct{}), make(chan struct{})
	for range 3 {
		require.NoError(t, a.Submit(func() { in <- struct{}{}; <-hold }))
		<-in
	}
	require.ErrorIs(t, a.Submit(func() {}), ErrBusy)
	close(hold)
	require.NoError(t, a.Close(t.Context()))
	require.NoError(t, a.Close(t.Context()), "again")
	require.Greater(t, runtime.GOMAXPROCS(0), 0)
	require.NoError(t, b.Close(t.Context()))
	require.Equal(t, before, runtime.GOMAXPROCS(0), "put back by the last one")
}

// One P is left when all workers compute and the collector has a quarter.
func TestProcs(t *testing.T) {
	for workers := 1; workers < 300; workers++ {
		n := procs(workers)
		require.GreaterOrEqual(t, n-(n+3)/4-workers, 1)
		require.Less(t, n-1-(n+2)/4-workers, 1, "no more than it takes")
	}
}
