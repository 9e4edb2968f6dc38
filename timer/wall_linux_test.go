package timer

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The kernel tells at once that the wall clock was set, also when it was set to
// what it was, as this test does, so that nobody else is hurt. It needs
// CAP_SYS_TIME.
func TestKernelTells(t *testing.T) {
	steps := make(chan Step, 8)
	c := newClock(t, ClockConfig{Stepped: func(s Step) { steps <- s }})
	require.True(t, c.watch.rings)
	for i := range 3 { // the bell rings again and again
		var now unix.Timespec
		require.NoError(t, unix.ClockGettime(unix.CLOCK_REALTIME, &now))
		err := unix.ClockSettime(unix.CLOCK_REALTIME, &now)
		if errors.Is(err, unix.EPERM) {
			t.Skip("needs CAP_SYS_TIME")
		}
		require.NoError(t, err)
		s := <-steps
		require.Less(t, s.Wall.Abs(), time.Minute, "set to what it was, nearly")
		require.GreaterOrEqual(t, c.Stats().Steps, uint64(i+1), "others may set it, too")
	}
}
