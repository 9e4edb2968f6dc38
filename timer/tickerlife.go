package timer

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// Stop ends the ticks: none is delivered after it has returned, and what was in
// the channel is taken back. A Func that is running already goes on; Drain
// waits for it. It may be called from Func and again.
func (tk *Ticker) Stop() {
	tk.shard.mu.Lock()
	tk.void()
	select {
	case <-tk.stopped:
	default:
		close(tk.stopped)
	}
	if tk.cfg.Align {
		tk.shard.clock.aligned.remove(tk)
	}
	tk.shard.mu.Unlock()
}

// Drain is Stop, and waits until Func has returned if it is running. When the
// context ends before, it returns its cause; so it does from inside Func, which
// it would otherwise wait for itself.
func (tk *Ticker) Drain(ctx context.Context) error {
	tk.Stop()
	tk.shard.mu.Lock()
	if !tk.running {
		tk.shard.mu.Unlock()
		return nil
	}
	if tk.idle == nil {
		tk.idle = make(chan struct{})
	}
	idle := tk.idle
	tk.shard.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Reset starts a new grid at the present, with a period above 0: the next tick
// is due one period from now, and none of the old grid comes any more. A Ticker
// that is stopped ticks again. With Align the new grid is on the wall clock, as
// the old one was: here and for Pace. Errors: ErrTicker, ErrClockClosed.
func (tk *Ticker) Reset(period time.Duration) error { return tk.restart(period, false) }

// Pace changes the period and keeps the phase: the new grid starts at the last
// point of the old one that has passed. Points of the new one that have passed,
// too, are no ticks: the next tick is due within the new period. A Ticker that
// is stopped ticks again.
func (tk *Ticker) Pace(period time.Duration) error { return tk.restart(period, true) }

func (tk *Ticker) restart(period time.Duration, keep bool) error {
	if period <= 0 || tk.cfg.Jitter > period {
		return ErrTicker
	}
	tk.shard.mu.Lock()
	tk.void()
	select {
	case <-tk.stopped:
		tk.stopped = make(chan struct{})
	default:
	}
	start := Time(0)
	if keep {
		start = tk.grid.at(tk.grid.passed(tk.shard.now()))
	}
	return tk.begin(period, start)
}

// void takes back what is under way. Called with the lock.
func (tk *Ticker) void() {
	tk.life++
	tk.skipped = 0
	tk.shard.heap.Stop(&tk.timer)
	select {
	case <-tk.c: // nil with a Func: never ready
	default:
	}
}

// Wait returns the next tick of a Ticker without a Func, and notes how late the
// caller was to have it. It ends with the context's cause, with
// ErrTickerStopped, or with ErrClockClosed.
func (tk *Ticker) Wait(ctx context.Context) (Tick, error) {
	tk.shard.mu.Lock()
	stopped := tk.stopped
	tk.shard.mu.Unlock()
	select {
	case t := <-tk.C:
		tk.Took(t)
		return t, nil
	case <-stopped:
		return Tick{}, ErrTickerStopped
	case <-tk.shard.clock.ended:
		return Tick{}, ErrClockClosed
	case <-ctx.Done():
		return Tick{}, context.Cause(ctx)
	}
}

// Took notes that a tick that was received from C is with its consumer now, for
// Lateness. Wait does so by itself.
func (tk *Ticker) Took(t Tick) { tk.take.Add(Now().Sub(t.Due)) }

// Grid returns where the grid starts, as Clock.Now counts or, with Align, in
// nanoseconds since 1970, and its period.
func (tk *Ticker) Grid() (start Time, period time.Duration) {
	tk.shard.mu.Lock()
	defer tk.shard.mu.Unlock()
	return tk.grid.start, tk.grid.period
}

// TickerStats is what a Ticker has counted.
type TickerStats struct {
	Ticks  uint64 // delivered: Func called, or sent
	Late   uint64 // skipped because the clock came after the next was due
	Unread uint64 // sent and not received before the next
}

// Stats returns the counters.
func (tk *Ticker) Stats() TickerStats {
	tk.shard.mu.Lock()
	defer tk.shard.mu.Unlock()
	return tk.stats
}

// Lateness is how late ticks were against the instants at which they were due,
// up to three places.
type Lateness struct {
	Wake Histogram // the clock's goroutine was awake
	Call Histogram // Func was called, or the tick was sent
	Take Histogram // the consumer had it: Wait, Took
}

// Lateness returns what was measured so far.
func (tk *Ticker) Lateness() Lateness {
	return Lateness{Wake: tk.wake.snapshot(), Call: tk.call.snapshot(), Take: tk.take.snapshot()}
}

// tickers are those of a clock that are aligned with the wall clock. One is in
// here as long as it ticks, or its clock: it comes and goes with the shard's lock held.
type tickers struct {
	mu  sync.Mutex
	all map[*Ticker]struct{}
}

func (a *tickers) add(tk *Ticker) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[*Ticker]struct{}{}
	}
	a.all[tk] = struct{}{}
}

func (a *tickers) remove(tk *Ticker) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.all, tk)
}

// clear forgets them all, at the end of the clock, when no more can come.
func (a *tickers) clear() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = nil
}

// realign lays the grids anew after the wall clock was set.
func (a *tickers) realign() {
	a.mu.Lock()
	all := slices.Collect(maps.Keys(a.all))
	a.mu.Unlock()
	for _, tk := range all {
		tk.shard.mu.Lock()
		if !tk.timer.Active() {
			tk.shard.mu.Unlock()
			continue
		}
		tk.shard.heap.Stop(&tk.timer)
		tk.begin(tk.grid.period, 0)
	}
}
