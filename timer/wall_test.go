package timer

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// machine is one whose clocks can be set. Its clock looks often, as where
// the kernel does not tell.
type machine struct {
	wall, slept atomic.Int64
	steps       chan Step
	*Clock
}

func newMachine(t *testing.T, cfg ClockConfig) *machine {
	w := &machine{steps: make(chan Step, 16)}
	w.wall.Store(int64(time.Now().UnixNano()) - int64(Now()))
	cfg.Stepped = func(s Step) { w.steps <- s }
	cfg.Pool = inline{}
	c, err := startClock(cfg, sources{
		wall:  func() time.Duration { return time.Duration(w.wall.Load()) },
		slept: func() time.Duration { return time.Duration(w.slept.Load()) },
		every: time.Millisecond,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	w.Clock = c
	return w
}

// set moves the wall clock and waits until the Clock has seen it.
func (w *machine) set(d time.Duration) Step {
	w.wall.Add(int64(d))
	return <-w.steps
}

// suspend puts the machine to sleep: the wall clock goes on. Both change at
// once, between two looks of the Clock.
func (w *machine) suspend(d time.Duration) Step {
	w.AfterFunc(0, func() {
		w.slept.Add(int64(d))
		w.wall.Add(int64(d))
	})
	return <-w.steps
}

func (w *machine) date() time.Time { return time.Unix(0, int64(w.wallNow())) }

func TestStepIsReported(t *testing.T) {
	w := newMachine(t, ClockConfig{})
	require.Equal(t, time.Hour, w.set(time.Hour).Wall)
	s := w.set(-2 * time.Hour)
	require.Equal(t, -2*time.Hour, s.Wall)
	require.Zero(t, s.Suspended)
	require.LessOrEqual(t, s.At, Now())

	s = w.suspend(time.Minute)
	require.Equal(t, time.Minute, s.Suspended)
	require.Zero(t, s.Wall, "nobody set it")
	stats := w.Stats()
	require.GreaterOrEqual(t, stats.Steps, uint64(3))
	require.EqualValues(t, 1, stats.Suspends)
	require.Equal(t, time.Minute, stats.Suspended)

	w.wall.Add(int64(noticed / 2)) // less than two readings may be apart
	<-w.After(5 * time.Millisecond)
	settled(w.Clock)
	require.Empty(t, w.steps)
}

// At follows the wall clock, AfterFunc does not.
func TestAtFollowsTheWallClock(t *testing.T) {
	w := newMachine(t, ClockConfig{})
	fired := make(chan string, 4)
	at := w.At(w.date().Add(time.Hour), func() { fired <- "at" })
	after := w.AfterFunc(time.Hour, func() { fired <- "after" })
	w.set(-time.Hour)
	w.set(119 * time.Minute)
	settled(w.Clock)
	require.Empty(t, fired, "a minute is missing")
	w.set(2 * time.Minute)
	require.Equal(t, "at", <-fired)
	require.False(t, at.Stop())
	require.True(t, after.Stop(), "an hour has not passed")
	require.Empty(t, fired)

	w.At(w.date().Add(-time.Hour), func() { fired <- "past" })
	require.Equal(t, "past", <-fired, "an instant of before comes at once")
}

// A duration on Boottime counts what the machine slept; on Monotonic it does
// not.
func TestBase(t *testing.T) {
	if !knowsSuspend {
		w := newMachine(t, ClockConfig{Base: Boottime})
		require.Equal(t, Monotonic, w.Stats().Base, "cannot be had here, and says so")
		return
	}
	for _, base := range []Base{Monotonic, Boottime} {
		w := newMachine(t, ClockConfig{Base: base})
		require.Equal(t, base, w.Stats().Base)
		fired := make(chan struct{}, 1)
		a := w.AfterFunc(time.Hour, func() { fired <- struct{}{} })
		before := w.Clock.Now()
		w.suspend(2 * time.Hour)
		if base == Boottime {
			<-fired
			require.GreaterOrEqual(t, w.Clock.Now().Sub(before), 2*time.Hour)
		}
		settled(w.Clock)
		require.Equal(t, base == Monotonic, a.Stop())
	}
}

// An aligned ticker's grid goes with the wall clock: set back by an hour, it
// does not wait an hour, and set forward, it does not count an hour's ticks as
// skipped.
func TestAlignedTickerFollows(t *testing.T) {
	w := newMachine(t, ClockConfig{})
	const period = 4 * time.Millisecond
	tk := newTicker(t, w.Clock, TickerConfig{Period: period, Align: true})
	for _, step := range []time.Duration{-time.Hour - 7*time.Millisecond/4, time.Hour + 3*time.Millisecond/2} {
		w.set(step)
		settled(w.Clock)
		var tick Tick
		var err error
		for range 2 { // the first may be of before
			tick, err = tk.Wait(t.Context())
			require.NoError(t, err)
		}
		require.Zero(t, time.Duration(tick.Due.Add(w.ahead(true)))%period)
		require.Less(t, tick.Skipped, uint64(time.Minute/period))
	}
	tk.Stop()
	require.Empty(t, w.aligned.all)
}

// Dates that nanoseconds since 1970 do not reach.
func TestDatesOutOfRange(t *testing.T) {
	c := newClock(t, ClockConfig{Pool: inline{}})
	for _, year := range []int{2263, 3000, 9999, 292277026} {
		a := c.At(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), func() { t.Errorf("year %d", year) })
		settled(c)
		require.True(t, a.Stop(), year)
	}
	for _, year := range []int{1600, 1, -5000} {
		came := make(chan struct{})
		c.At(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), func() { close(came) })
		<-came
	}
}

// An aligned ticker that ticks is known to its clock, whoever stops and starts
// it at the same time: one that is not would keep its grid when the clock is set.
func TestAlignedAreKnown(t *testing.T) {
	w := newMachine(t, ClockConfig{})
	tk := newTicker(t, w.Clock, TickerConfig{Period: time.Hour, Align: true})
	for range 2000 {
		var both sync.WaitGroup
		both.Go(tk.Stop)
		both.Go(func() { _ = tk.Reset(time.Hour) })
		both.Wait()
		require.Equal(t, tk.timer.Active(), len(w.aligned.all) == 1)
	}
}
