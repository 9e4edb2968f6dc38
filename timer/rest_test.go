package timer

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// However long the wait: a first sleep that is late as epoll may be, and takes
// some time to wake up from, ends before the instant; and few of them get there.
func TestFirstSleepIsEarly(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		left := time.Duration(r.Int64() >> (1 + r.IntN(60)))
		sleeps := 0
		for d := early(left); d > 0; d = early(left) {
			require.Less(t, d, left)
			late := min(d/1000, 100*time.Millisecond) + 50*time.Microsecond
			require.LessOrEqual(t, d+late, left-lead/2, "%v of %v", d, left)
			left -= d + time.Duration(r.Int64N(int64(late)))
			sleeps++
		}
		require.LessOrEqual(t, left, 2*lead)
		require.LessOrEqual(t, sleeps, 6)
	}
	require.Zero(t, early(2*lead), "one sleep is enough")
	require.Zero(t, early(-1))
}

// Estimates rise fast and fall slowly, and no single wake-up counts for much.
func TestWakeupLearns(t *testing.T) {
	var w wakeup
	for range 20 {
		w.saw(80 * time.Microsecond)
	}
	require.InDelta(t, 80*time.Microsecond, w.late, float64(time.Microsecond))
	for range 20 {
		w.saw(20 * time.Microsecond)
	}
	require.Greater(t, w.late, 50*time.Microsecond)
	w.saw(time.Second)
	require.Less(t, w.late, 350*time.Microsecond)
	for range 1000 {
		w.saw(0)
	}
	require.Less(t, w.late, 2*time.Microsecond)
}

func TestSpinIsBounded(t *testing.T) {
	c := &Clock{cfg: ClockConfig{Precision: Exact, Spin: 100 * time.Microsecond}}
	require.Equal(t, 5*time.Microsecond, c.spin(0))
	require.Equal(t, 20*time.Microsecond, c.spin(time.Millisecond), "a fiftieth")
	require.Equal(t, c.cfg.Spin, c.spin(time.Second))
	c.wakeup.late = time.Millisecond
	require.Equal(t, c.cfg.Spin, c.spin(0))
	c.cfg.Precision = Fine
	require.Zero(t, c.spin(time.Second))
}

// Ticks so close that all waits are spun: it is not for ever, for one wake-up
// that was late, and the poller is asked all the same.
func TestSpinIsNotForEver(t *testing.T) {
	c := newClock(t, ClockConfig{Precision: Exact, NoRealTime: true})
	const period = 50 * time.Microsecond
	enough := make(chan struct{})
	began, over := false, false
	newTicker(t, c, TickerConfig{Period: period, Func: func(Tick) {
		switch {
		case !began:
			began, c.wakeup.late = true, time.Millisecond
		case c.wakeup.late == time.Millisecond/4 && !over:
			over = true
			close(enough)
		}
	}})
	<-enough
}
