package timer

import (
	"errors"
	"math/rand/v2"
	"time"
)

// ErrTicker is what a TickerConfig that makes no sense is refused with.
var ErrTicker = errors.New("timer: a ticker needs a period above 0, and jitter from 0 to the period")

// ErrTickerStopped is returned by Wait on a Ticker that is stopped.
var ErrTickerStopped = errors.New("timer: ticker stopped")

// A Ticker ticks on a grid: the n-th tick is due at start + n x period, however
// late those before it were.
//
//	grid     ┼─────────┼─────────┼─────────┼─────────┼─────────┼
//	clock     │wake, callback     ·   late wake ──────►│ one tick: N 4, Skipped 1
//	consumer    │ received                              │
//
// A tick that could not come before the next one was due is skipped, not made
// up for, and counted in the tick that comes instead. So it is with a consumer
// that is slower than the period: the channel holds one tick, always the
// newest, which counts those that it took the place of. No tick is lost
// unreported: from one tick to the next N goes up by one plus Skipped, unless
// there is a new grid in between (Reset, Pace, or a set wall clock that Align
// follows), whose N starts anew.
//
// Its methods may be called by any goroutine.
type Ticker struct {
	// C has room for one tick. Nil for a Ticker with a Func.
	C <-chan Tick

	c     chan Tick
	timer Timer
	shard *shard
	cfg   TickerConfig

	// Owned by the clock's goroutine, from Fire to run.
	tick Tick
	born uint64 // its life

	// Guarded by the shard's lock.
	grid    grid
	n       uint64 // the tick that is planned
	planned Time   // when, with jitter
	life    uint64 // goes up with each Stop, Reset and Pace: ticks of before are void
	skipped uint64 // since the last tick that was delivered
	running bool   // Func is
	idle    chan struct{}
	stopped chan struct{} // closed while it is
	stats   TickerStats

	wake, call, take tally
}

// TickerConfig says how a Ticker is made.
type TickerConfig struct {
	// Period is the distance of two ticks. Required. There is no least one: with
	// a microsecond the clock has no time to sleep, and takes a core.
	Period time.Duration

	// Func is called for each tick, on the clock's goroutine: everything else
	// on the clock waits for it. Nil: ticks are sent to C.
	Func func(Tick)

	// Start is where the grid starts, as Clock.Now counts. The first tick is the
	// first point of the grid that is still to come: the start itself, if it is,
	// with N 0. Zero: the present, and the first tick a Period from it. Not used
	// with Align.
	Start Time

	// Align lays the grid on the wall clock instead: ticks are where the time
	// since 1970 is a multiple of Period, plus Phase. A Period of a second ticks
	// on the full second. When the wall clock is set the grid goes with it.
	Align bool
	Phase time.Duration

	// Jitter makes each tick late by a random duration below it, so that many
	// tickers of one period do not come at once. The grid stays. Zero: none.
	Jitter time.Duration
}

// A Tick is what a Ticker delivers.
type Tick struct {
	N       uint64 // of the grid: Due is its start + N x period, plus jitter
	Due     Time   // the instant that it was due, jitter included, as timer.Now counts
	At      Time   // when the clock delivered it
	Skipped uint64 // ticks that this one took the place of, since the one delivered before
}

// NewTicker starts a Ticker. It ticks until Stop, or until its clock is closed.
// Errors: ErrTicker, ErrClockClosed.
func (c *Clock) NewTicker(cfg TickerConfig) (*Ticker, error) {
	if cfg.Period <= 0 || cfg.Jitter < 0 || cfg.Jitter > cfg.Period {
		return nil, ErrTicker
	}
	tk := &Ticker{cfg: cfg, stopped: make(chan struct{})}
	tk.shard = c.pick(&tk.timer)
	if cfg.Align {
		c.care()
		tk.shard = c.wall()
	}
	if cfg.Func == nil {
		tk.c = make(chan Tick, 1)
		tk.C = tk.c
	}
	tk.timer.Init(tk)
	tk.shard.mu.Lock()
	if err := tk.begin(cfg.Period, cfg.Start); err != nil {
		return nil, err
	}
	return tk, nil
}

// begin lays a grid and plans its first tick after the present. Start 0 is the
// present. Called with the shard's lock, gives it back.
func (tk *Ticker) begin(period time.Duration, start Time) error {
	s := tk.shard
	if s.shut {
		s.mu.Unlock()
		return ErrClockClosed
	}
	now := s.now()
	switch {
	case tk.cfg.Align:
		s.clock.aligned.add(tk)
		tk.grid = aligned(now, period, tk.cfg.Phase)
	case start == 0:
		tk.grid = grid{now, period}
	default:
		tk.grid = grid{start, period}
	}
	tk.n = tk.grid.passed(now)
	if tk.grid.start > now {
		tk.n-- // the one before 0, so that plan comes to 0
	}
	tk.plan()
	s.armed(tk.planned)
	return nil
}

// plan sets the timer for the next tick of the grid.
func (tk *Ticker) plan() {
	tk.n++
	tk.planned = tk.grid.at(tk.n)
	if tk.cfg.Jitter > 0 {
		tk.planned = tk.planned.Add(rand.N(tk.cfg.Jitter))
	}
	tk.shard.heap.Set(&tk.timer, tk.planned)
}

// Fire plans the next tick, whatever becomes of this one. For its shard.
func (tk *Ticker) Fire(now Time) {
	s := tk.shard
	if s.shut {
		return
	}
	due := tk.planned
	tk.wake.Add(s.clock.woke.Sub(s.mono(due)))
	if last := tk.grid.passed(now); last > tk.n {
		tk.stats.Late += last - tk.n
		tk.skipped += last - tk.n
		tk.n, due = last, tk.grid.at(last)
	}
	tk.tick, tk.born = Tick{N: tk.n, Due: s.mono(due)}, tk.life
	tk.plan()
	s.due = append(s.due, tk)
}

// run delivers the tick.
func (tk *Ticker) run() {
	s := tk.shard
	s.mu.Lock()
	if tk.born != tk.life {
		s.mu.Unlock()
		return
	}
	t := &tk.tick
	t.At = Now()
	tk.call.Add(t.At.Sub(t.Due))
	tk.stats.Ticks++
	if tk.cfg.Func == nil {
		tk.send(t)
		s.mu.Unlock()
		return
	}
	t.Skipped, tk.skipped = tk.skipped, 0
	tk.running = true
	s.mu.Unlock()
	s.clock.call(tk.cfg.Func, *t)
	tk.ran()
}

// ran ends what run began.
func (tk *Ticker) ran() {
	tk.shard.mu.Lock()
	tk.running = false
	if tk.idle != nil {
		close(tk.idle)
		tk.idle = nil
	}
	tk.shard.mu.Unlock()
}

// send puts the tick into the channel, in the place of one that nobody took.
// With the lock: it is the only one that sends.
func (tk *Ticker) send(t *Tick) {
	select {
	case old := <-tk.c:
		tk.stats.Unread++
		tk.skipped += old.Skipped + 1
	default:
	}
	t.Skipped, tk.skipped = tk.skipped, 0
	tk.c <- *t
}
