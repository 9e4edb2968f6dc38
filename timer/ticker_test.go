package timer

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newTicker(t *testing.T, c *Clock, cfg TickerConfig) *Ticker {
	tk, err := c.NewTicker(cfg)
	require.NoError(t, err)
	t.Cleanup(tk.Stop)
	return tk
}

func TestTickerRefusesNonsense(t *testing.T) {
	c := newClock(t, ClockConfig{})
	for _, cfg := range []TickerConfig{{}, {Period: -1}, {Period: 5, Jitter: -1}, {Period: 5, Jitter: 6}} {
		_, err := c.NewTicker(cfg)
		require.ErrorIs(t, err, ErrTicker, "%+v", cfg)
	}
	tk := newTicker(t, c, TickerConfig{Period: time.Hour, Jitter: time.Minute})
	require.ErrorIs(t, tk.Reset(0), ErrTicker)
	require.ErrorIs(t, tk.Pace(time.Second), ErrTicker, "shorter than the jitter")
}

// The n-th tick is due at start + n x period, to the nanosecond, on both faces,
// and none is lost unreported: N goes up by one plus Skipped.
func TestTicksAreOnTheGrid(t *testing.T) {
	const ticks = 60
	period := 250*time.Microsecond + 1 // nothing that divides well
	check := func(t *testing.T, tk *Ticker, all []Tick) {
		start, p := tk.Grid()
		require.Equal(t, period, p)
		var before uint64
		for _, tick := range all {
			require.Equal(t, start.Add(time.Duration(tick.N)*period), tick.Due)
			require.GreaterOrEqual(t, tick.At, tick.Due, "not before it is due")
			require.Equal(t, before+1+tick.Skipped, tick.N)
			before = tick.N
		}
		s := tk.Stats()
		require.LessOrEqual(t, before, s.Ticks+s.Late)
	}
	eachPrecision(t, ClockConfig{}, func(t *testing.T, c *Clock) {
		var all []Tick
		enough := make(chan struct{})
		tk := newTicker(t, c, TickerConfig{Period: period, Func: func(tick Tick) {
			if all = append(all, tick); len(all) == ticks {
				close(enough)
			}
		}})
		<-enough
		require.NoError(t, tk.Drain(t.Context()))
		check(t, tk, all)

		tk = newTicker(t, c, TickerConfig{Period: period})
		all = nil
		for range ticks {
			tick, err := tk.Wait(t.Context())
			require.NoError(t, err)
			all = append(all, tick)
		}
		check(t, tk, all)
		l := tk.Lateness()
		require.EqualValues(t, ticks, l.Take.Count)
		require.GreaterOrEqual(t, l.Call.Count, l.Take.Count)
	})
}

// A consumer that does not come finds the newest tick, which knows how many
// there were before it.
func TestSlowConsumer(t *testing.T) {
	c := newClock(t, ClockConfig{})
	tk := newTicker(t, c, TickerConfig{Period: 100 * time.Microsecond})
	require.Eventually(t, func() bool { return tk.Stats().Unread >= 5 }, 20*time.Second, time.Millisecond)
	tick := <-tk.C
	require.GreaterOrEqual(t, tick.Skipped, uint64(5))
	require.Equal(t, tick.N, tick.Skipped+1, "the first one received: all before it were skipped")
	next, err := tk.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, tick.N+1+next.Skipped, next.N)
}

// A Func that takes longer than the period: the grid stays, what was missed is
// skipped and counted.
func TestSlowFunc(t *testing.T) {
	c := newClock(t, ClockConfig{})
	const period = time.Millisecond
	got := make(chan Tick)
	proceed := make(chan struct{})
	newTicker(t, c, TickerConfig{Period: period, Func: func(tick Tick) {
		select {
		case got <- tick:
			<-proceed
		case <-t.Context().Done(): // the test is over before the ticker is
		}
	}})
	first := <-got
	for Now() < first.Due.Add(5*period) { // work
	}
	proceed <- struct{}{}
	second := <-got
	require.GreaterOrEqual(t, second.Skipped, uint64(3))
	require.Equal(t, first.N+1+second.Skipped, second.N)
	require.Equal(t, first.Due.Add(time.Duration(second.N-first.N)*period), second.Due)
	close(proceed)
}

// After Stop no tick is delivered on either face, not even one that was on its
// way.
func TestNoTickAfterStop(t *testing.T) {
	c := newClock(t, ClockConfig{Pool: inline{}})
	for range 200 {
		stopped := false // written and read on the clock's goroutine only
		tk := newTicker(t, c, TickerConfig{Period: 20 * time.Microsecond, Func: func(Tick) {
			if stopped {
				t.Error("a tick after Stop")
			}
		}})
		channel := newTicker(t, c, TickerConfig{Period: 20 * time.Microsecond})
		done := make(chan struct{})
		c.AfterFunc(100*time.Microsecond, func() { tk.Stop(); stopped = true; close(done) })
		<-done
		channel.Stop()
		require.Empty(t, channel.C)
		_, err := channel.Wait(t.Context())
		require.ErrorIs(t, err, ErrTickerStopped)
	}
	settled(c)
	require.Zero(t, c.Stats().Pending)
}

// One whose tick is due together with another's, which stops it first. On a
// machine that stands still before both are there, the tick is an hour away, and
// they are made again.
func TestNoTickAfterStopByANeighbour(t *testing.T) {
	c := newClock(t, ClockConfig{Shards: 1})
	for lead := 2 * time.Millisecond; ; lead *= 2 {
		due := c.Now().Add(lead)
		var second *Ticker
		both, done := make(chan struct{}), make(chan struct{})
		first := newTicker(t, c, TickerConfig{Period: time.Hour, Start: due.Add(-time.Hour), Func: func(Tick) {
			<-both
			second.Stop()
			close(done)
		}})
		second = newTicker(t, c, TickerConfig{Period: time.Hour, Start: due.Add(-time.Hour),
			Func: func(Tick) { t.Error("a tick after Stop") }})
		late := c.Now() >= due
		close(both)
		if !late {
			<-done
			<-c.After(0)
			return
		}
		require.NoError(t, first.Drain(t.Context()))
		require.NoError(t, second.Drain(t.Context()))
	}
}

func TestDrainWaitsForFunc(t *testing.T) {
	c := newClock(t, ClockConfig{})
	in, out := make(chan struct{}), make(chan struct{})
	over := false
	tk := newTicker(t, c, TickerConfig{Period: time.Millisecond, Func: func(Tick) {
		close(in)
		<-out
		over = true
	}})
	<-in
	why := errors.New("no time")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	require.ErrorIs(t, tk.Drain(ctx), why)
	go close(out)
	require.NoError(t, tk.Drain(t.Context()))
	require.True(t, over)
}

// From inside Func, Stop works and Drain waits for nothing but its context.
func TestStopFromInside(t *testing.T) {
	c := newClock(t, ClockConfig{})
	done := make(chan error)
	var tk *Ticker
	set := make(chan struct{})
	tk = newTicker(t, c, TickerConfig{Period: time.Millisecond, Func: func(Tick) {
		<-set
		tk.Stop()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		done <- tk.Drain(ctx)
	}})
	close(set)
	require.ErrorIs(t, <-done, context.Canceled)
}

// Reset begins a grid now, Pace goes on from the last point of the old one.
func TestResetAndPace(t *testing.T) {
	c := newClock(t, ClockConfig{})
	tk := newTicker(t, c, TickerConfig{Period: 2 * time.Hour, Start: Now().Add(-3 * time.Hour)})
	start, _ := tk.Grid()

	before := c.Now()
	require.NoError(t, tk.Reset(time.Hour))
	now, period := tk.Grid()
	require.GreaterOrEqual(t, now, before)
	require.LessOrEqual(t, now, c.Now())
	require.Equal(t, time.Hour, period)

	tk = newTicker(t, c, TickerConfig{Period: 2 * time.Hour, Start: start})
	require.NoError(t, tk.Pace(90*time.Minute))
	paced, period := tk.Grid()
	require.Equal(t, start.Add(2*time.Hour), paced, "the point that has passed")
	require.Equal(t, 90*time.Minute, period)

	// A period that is over already ticks at the next point of its own grid.
	require.NoError(t, tk.Pace(time.Millisecond))
	tick, err := tk.Wait(t.Context())
	require.NoError(t, err)
	fine, _ := tk.Grid()
	require.Equal(t, fine.Add(time.Duration(tick.N)*time.Millisecond), tick.Due)
	require.Zero(t, (tick.Due.Sub(start))%time.Millisecond, "in phase with the first grid")

	tk.Stop()
	require.NoError(t, tk.Reset(time.Millisecond), "a stopped one ticks again")
	_, err = tk.Wait(t.Context())
	require.NoError(t, err)
}

// A Start in the future is waited for, one in the past keeps its phase.
func TestStart(t *testing.T) {
	c := newClock(t, ClockConfig{})
	const period = 2 * time.Millisecond
	for _, start := range []Time{c.Now().Add(time.Second / 4), c.Now().Add(-time.Hour)} {
		before := c.Now()
		tk := newTicker(t, c, TickerConfig{Period: period, Start: start})
		after := c.Now()
		tick, err := tk.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, start.Add(time.Duration(tick.N)*period), tick.Due)
		switch { // between the two it is either, if the machine was that slow
		case start > after:
			require.Equal(t, tick.Skipped, tick.N, "the start is the first tick")
		case start <= before:
			require.Greater(t, tick.Due, before)
		}
	}
}

// Jitter delays a tick by less than it says and leaves the grid alone.
func TestJitter(t *testing.T) {
	c := newClock(t, ClockConfig{})
	const period, jitter = time.Millisecond, 400 * time.Microsecond
	tk := newTicker(t, c, TickerConfig{Period: period, Jitter: jitter})
	start, _ := tk.Grid()
	different := map[time.Duration]bool{}
	for range 30 {
		tick, err := tk.Wait(t.Context())
		require.NoError(t, err)
		late := tick.Due.Sub(start.Add(time.Duration(tick.N) * period))
		require.GreaterOrEqual(t, late, time.Duration(0))
		require.Less(t, late, jitter)
		different[late] = true
	}
	require.Greater(t, len(different), 5)
}

// Aligned ticks are multiples of the period on the wall clock, plus the phase.
func TestAlign(t *testing.T) {
	c := newClock(t, ClockConfig{})
	const period, phase = 5 * time.Millisecond, 2 * time.Millisecond
	tk := newTicker(t, c, TickerConfig{Period: period, Align: true, Phase: phase})
	for range 3 {
		tick, err := tk.Wait(t.Context())
		require.NoError(t, err)
		wall := tick.Due.Add(c.ahead(true))
		require.Zero(t, (time.Duration(wall)-phase)%period)
		require.GreaterOrEqual(t, tick.At, tick.Due)
	}
}

func TestTickerCostsNothingATick(t *testing.T) {
	c := newClock(t, ClockConfig{})
	got := make(chan struct{}, 1)
	newTicker(t, c, TickerConfig{Period: 50 * time.Microsecond, Func: func(Tick) {
		select {
		case got <- struct{}{}:
		default:
		}
	}})
	<-got
	require.Less(t, testing.AllocsPerRun(500, func() { <-got }), 0.05)
}
