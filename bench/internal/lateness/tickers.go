package lateness

import (
	"context"
	"fmt"
	"time"

	"github.com/weir-go/weir/timer"
)

// tickers are those that can be measured. Each runs until the gauge has seen its last point.
var tickers = map[string]func(Job, *gauge) error{
	"std":     std,
	"coarse":  called(timer.Coarse),
	"fine":    called(timer.Fine),
	"exact":   called(timer.Exact),
	"channel": received(timer.Fine),
}

// std does what a user of time.Ticker does: it receives a tick and looks what time it is.
func std(j Job, g *gauge) error {
	t, start := newStd(j.Period)
	defer t.Stop()
	for g.Last < g.end {
		due := <-t.C
		at := time.Since(start)
		g.Tick(which(due.Sub(start), j.Period, g.Last), at)
	}
	g.unreported = g.Missed // it has no word for it
	return nil
}

// which says which point of the grid a tick of the runtime is for. It sends the instant at which the tick was due, put
// together from two looks at the clock, the second of which may come later: so it is that point's or a bit more. Two
// ticks are never for one point.
func which(due, period time.Duration, last uint64) uint64 {
	return max(uint64(max(due, 0)/period), last+1)
}

// newStd makes a Ticker whose start is known to some microseconds: the runtime does not say where its grid starts, and
// on a busy machine anything may come between two lines of a program.
func newStd(period time.Duration) (*time.Ticker, time.Time) {
	const near, tries = 5 * time.Microsecond, 1000
	for try := 1; ; try++ {
		before := time.Now()
		t := time.NewTicker(period)
		if time.Since(before) <= near || try == tries {
			return t, before
		}
		t.Stop()
	}
}

// called takes the time at the beginning of the callback.
func called(p timer.Precision) func(Job, *gauge) error {
	return func(j Job, g *gauge) error {
		c, err := timer.NewClock(timer.ClockConfig{Precision: p})
		if err != nil {
			return err
		}
		defer c.Close()
		var start timer.Time
		known, done := make(chan struct{}), make(chan struct{})
		over := false
		tk, err := c.NewTicker(timer.TickerConfig{Period: j.Period, Func: func(t timer.Tick) {
			at := timer.Now()
			if start == 0 {
				<-known
				start = g.start
			}
			if over {
				return
			}
			g.tick(t, start, at)
			if over = g.Last >= g.end; over {
				close(done)
			}
		}})
		if err != nil {
			return err
		}
		g.start, _ = tk.Grid()
		close(known)
		<-done
		g.help = c.Stats().Help
		return tk.Drain(context.Background())
	}
}

// received takes the time when the consumer has the tick.
func received(p timer.Precision) func(Job, *gauge) error {
	return func(j Job, g *gauge) error {
		c, err := timer.NewClock(timer.ClockConfig{Precision: p})
		if err != nil {
			return err
		}
		defer c.Close()
		tk, err := c.NewTicker(timer.TickerConfig{Period: j.Period})
		if err != nil {
			return err
		}
		defer tk.Stop()
		start, period := tk.Grid()
		if period != j.Period {
			return fmt.Errorf("%w: a period of %v", ErrWrong, period)
		}
		for g.Last < g.end {
			t := <-tk.C
			g.tick(t, start, timer.Now())
		}
		g.help = c.Stats().Help
		return nil
	}
}
