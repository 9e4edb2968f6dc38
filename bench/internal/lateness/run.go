package lateness

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/weir-go/weir/bench/internal/proc"
	"github.com/weir-go/weir/timer"
)

// A Job is one measurement of one ticker in a process of its own.
type Job struct {
	Ticker  string // "std", "coarse", "fine", "exact", or "channel": fine, received from its channel
	Inside  int    // so many goroutines of the process compute meanwhile
	Spare   bool   // these run on a spare.Pool
	Period  time.Duration
	Warm    time.Duration // ticks of the beginning that are not counted
	Window  time.Duration
	Burners []int // processes that burn the cores meanwhile, so that they don't count as a disturbance
}

// A Result is what came of it.
type Result struct {
	Late       []time.Duration // of each tick
	Points     uint64          // of the grid, in the window
	Missed     uint64          // of them, those without a tick of their own
	Unreported uint64          // of these, those that the ticker did not tell of
	OffGrid    time.Duration   // the most that a tick's due time differs from start + n x period; 0 for std, which does not say it
	Help       string          // what the kernel granted to the clock's thread
	Steps      float64         // steps a second of those who compute
	Usage      proc.Usage      // of warm-up and window
}

// ErrWrong is a ticker that broke its promise.
var ErrWrong = errors.New("lateness: the ticker is wrong")

// Run carries the job out.
func (j Job) Run() (Result, error) {
	ticker, ok := tickers[j.Ticker]
	if !ok {
		return Result{}, fmt.Errorf("lateness: no ticker is called %q", j.Ticker)
	}
	if j.Period <= 0 || j.Window < j.Period {
		return Result{}, errors.New("lateness: the window has no tick")
	}
	skip := uint64((j.Warm + j.Period - 1) / j.Period)
	points := uint64(j.Window / j.Period)
	g := &gauge{Track: NewTrack(j.Period, skip, points), end: skip + points}
	watch := proc.NewWatch(os.Getpid(), j.Burners...)
	var work Work
	if err := work.Start(j.Inside, j.Spare); err != nil {
		return Result{}, err
	}
	runtime.GC()
	watch.Begin()
	begin, before := time.Now(), work.Steps()
	err := ticker(j, g)
	steps := float64(work.Steps()-before) / time.Since(begin).Seconds()
	r := Result{Late: g.Late, Points: g.Points(), Missed: g.Missed, Unreported: g.unreported, OffGrid: g.offGrid,
		Help: g.help, Steps: steps, Usage: watch.End()}
	if e := work.Stop(); err == nil {
		err = e
	}
	if err == nil {
		err = g.verdict(j.Ticker)
	}
	return r, err
}

// gauge is a Track, and what a weir ticker says of itself.
type gauge struct {
	*Track
	end        uint64 // the point at which it is over
	reported   uint64 // points that the ticks say they took the place of
	unreported uint64
	offGrid    time.Duration
	help       string
	start      timer.Time // of the grid of a ticker of ours
}

// verdict is an error where a ticker of ours did not keep what it promises. The runtime's promises nothing of the
// sort.
func (g *gauge) verdict(ticker string) error {
	switch {
	case len(g.Late) == 0:
		return fmt.Errorf("%w: no tick came", ErrWrong)
	case ticker == "std":
		return nil
	case g.Bad > 0:
		return fmt.Errorf("%w: %d ticks came before their time, twice or out of order", ErrWrong, g.Bad)
	case g.offGrid != 0:
		return fmt.Errorf("%w: a tick was due %v off start + n x period", ErrWrong, g.offGrid)
	case g.unreported > 0:
		return fmt.Errorf("%w: %d points were lost unreported", ErrWrong, g.unreported)
	}
	return nil
}

// tick takes in a tick of ours, of the grid that starts at start, which came at the instant at.
func (g *gauge) tick(t timer.Tick, start, at timer.Time) {
	if off := t.Due.Sub(start.Add(g.at(t.N))); off.Abs() > g.offGrid {
		g.offGrid = off.Abs()
	}
	if lost := t.N - g.Last - 1; lost != t.Skipped && t.N > g.Last {
		g.unreported += max(lost, t.Skipped) - min(lost, t.Skipped)
	}
	g.Tick(t.N, at.Sub(start))
}
