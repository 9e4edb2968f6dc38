package timer

import (
	"errors"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/weir-go/weir/internal/thread"
	"github.com/weir-go/weir/poller"
)

// ErrClockClosed is what waits on a Clock end with when it is closed.
var ErrClockClosed = errors.New("timer: clock closed")

// A Clock times things for goroutines that have no loop of their own: many may
// use it at once. It is made for programs that hold many timers, nearly all of
// which are stopped before they fire.
//
//	AfterFunc ─┐        ┌ shard: lock, Heap ┐          ┌─► Pool.Submit(f)
//	Reset ─────┼─► pick ┼ shard: lock, Heap ┼─ due ──► ┼─► channel
//	Stop ──────┘        └ shard: lock, Heap ┘  ▲       └─► Ticker's callback
//	                            │ earliest     │
//	                            ▼              │
//	                   one goroutine, which sleeps on a poller of its own
//
// It has that one goroutine, from NewClock to Close, and three descriptors.
// Instants that are equal fire in the order of setting only within a shard, so
// between timers of a Clock there is no order to rely on, as there is none
// between time.Timers.
type Clock struct {
	cfg    ClockConfig
	poller *poller.Poller
	watch  *watch
	shards []shard // a power of two of them, then the one of wall-clock instants
	mask   uint32

	// The instant that the goroutine sleeps until, or awake. Whoever sets a
	// timer to an earlier one puts awake here and wakes it.
	until atomic.Int64

	offsets offsets
	aligned tickers
	closing atomic.Bool
	ended   chan struct{}
	once    sync.Once

	// Owned by the goroutine.
	wakeup  wakeup
	rang    bool // the watch's bell
	todo    []due
	events  [4]poller.Event
	asked   Time // when the poller was, last
	woke    Time // when the last sleep was over
	backlog backlog

	count clockCounts
}

// ClockConfig says how a Clock is made. The zero value is good for many timers
// that need no great precision.
type ClockConfig struct {
	// Precision is how much is done to be on time. Zero: Coarse.
	Precision Precision

	// Spin is the longest that Exact spins before an instant; it spins less
	// where wake-ups are punctual. Zero: 200 µs.
	Spin time.Duration

	// NoRealTime keeps Exact from asking for a real-time policy.
	NoRealTime bool

	// Pool runs the functions of AfterFunc and At. Submit should not wait for
	// room, for the clock waits with it: what it answers with an error is kept,
	// in order, and tried again after a millisecond, then after twice as long
	// each time up to a second. Nil: each gets a goroutine of its own, as with
	// time.AfterFunc.
	Pool Pool

	// Backlog is how many functions are kept that the Pool refused. The next
	// one runs on the clock's goroutine, which is late for all others then:
	// nothing is dropped and nothing grows without bound. Zero: 4096.
	Backlog int

	// Base is the clock that durations are measured on. Zero: Monotonic.
	Base Base

	// Shards is how many locks the timers are spread over, rounded up to a
	// power of two, at most 1024. Zero: four for each P, at most 64.
	Shards int

	// Stepped is told when somebody has set the wall clock or the machine was
	// suspended. It is called on the clock's goroutine and should be short.
	Stepped func(Step)

	// Panicked is told what a callback on the clock's goroutine panicked with;
	// the clock goes on. Nil: the panic ends the process, as in any goroutine.
	Panicked func(value any, stack []byte)
}

// Pool runs functions elsewhere. An *ants.Pool is one.
type Pool interface {
	// Submit runs f soon, on another goroutine, or returns an error and will
	// not run it.
	Submit(f func()) error
}

// NewClock makes a Clock and starts its goroutine. Who made it closes it.
// Errors are those of poller.Open.
func NewClock(cfg ClockConfig) (*Clock, error) {
	return startClock(cfg, sources{wall: wallAhead, slept: suspended, bell: true, every: time.Second})
}

func startClock(cfg ClockConfig, from sources) (*Clock, error) {
	cfg.settle()
	p, err := poller.Open()
	if err != nil {
		return nil, err
	}
	if cfg.Precision >= Fine {
		p.Precise()
	}
	n := 1
	for n < cfg.Shards {
		n *= 2
	}
	c := &Clock{cfg: cfg, poller: p, shards: make([]shard, n+1), mask: uint32(n - 1), ended: make(chan struct{})}
	for i := range c.shards {
		c.shards[i].clock = c
		c.shards[i].first.Store(int64(Never))
	}
	c.wall().wall = true
	c.backlog.init(c)
	c.offsets.init(cfg.Base, from)
	c.watch = newWatch(p, from)
	c.until.Store(awake)
	if cfg.Stepped != nil || c.offsets.base == Boottime {
		c.care()
	}
	go c.run()
	return c, nil
}

// settle fills in what was left open.
func (cfg *ClockConfig) settle() {
	if cfg.Spin <= 0 {
		cfg.Spin = defaultSpin
	}
	if cfg.Backlog <= 0 {
		cfg.Backlog = 4096
	}
	if cfg.Shards <= 0 {
		cfg.Shards = min(4*runtime.GOMAXPROCS(0), 64)
	}
	cfg.Shards = min(cfg.Shards, 1<<10)
}

// awake is where the goroutine's instant stands while it does not sleep: before
// any other, so that nobody finds that he has to wake it.
const awake = -1 << 63

// Now returns the present instant as this clock counts it: timer.Now, plus, for
// a clock on Boottime, the time that the machine was suspended since the clock
// was made.
func (c *Clock) Now() Time { return Now().Add(c.ahead(false)) }

// Close ends the clock: its goroutine has ended and its descriptors are closed
// when it returns, so a callback that is under way on it is waited for. A
// callback on the clock's goroutine must not call it. Timers that are set do
// not fire any more; contexts and sleeps end with ErrClockClosed as their
// cause. Functions that the Pool refused and that wait still do not run:
// ClockStats.Backlog says how many. It may be called again and waits then, too.
func (c *Clock) Close() error {
	c.once.Do(func() {
		c.closing.Store(true)
		_ = c.poller.Wake() // fails only if it is closed
	})
	<-c.ended
	return nil
}

// pick chooses a shard for what was just allocated, by the page that it is on:
// the allocator gives each P pages of its own, and so those that run side by
// side find different shards, and one that sets many timers finds the lock where
// it left it.
func (c *Clock) pick(t *Timer) *shard {
	return &c.shards[uint32(uintptr(unsafe.Pointer(t))>>allocPage)&c.mask]
}

// allocPage is log2 of the bytes of what the allocator carves objects of this
// size from.
const allocPage = 13

// wall is the shard of wall-clock instants.
func (c *Clock) wall() *shard { return &c.shards[len(c.shards)-1] }

// hurry makes the goroutine sleep no longer than until when.
func (c *Clock) hurry(when Time) {
	for {
		until := c.until.Load()
		if int64(when) >= until {
			return
		}
		if c.until.CompareAndSwap(until, awake) {
			_ = c.poller.Wake() // fails only if it is closed
			return
		}
	}
}

// run is the clock's goroutine.
func (c *Clock) run() {
	defer close(c.ended)
	defer c.finish()
	if c.cfg.Precision >= Fine {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		help, _ := thread.Hasten(c.cfg.Precision >= Exact && !c.cfg.NoRealTime)
		c.count.help.Store(uint32(help))
	}
	for !c.closing.Load() {
		next := c.plan()
		c.rest(next)
		c.until.Store(awake)
		c.look()
		c.fire()
	}
}

// plan returns the earliest instant of all shards, as Now counts. Between
// saying that it is about to sleep and looking, nothing is lost: who sets a
// timer changes the shard's instant first and looks then whether anybody sleeps.
func (c *Clock) plan() Time {
	c.until.Store(int64(Never))
	next := c.watch.deadline()
	for i := range c.shards {
		s := &c.shards[i]
		next = min(next, s.mono(Time(s.first.Load())))
	}
	c.until.CompareAndSwap(int64(Never), int64(next))
	return next
}

// fire runs what is due in all shards.
func (c *Clock) fire() {
	now := Now()
	for i := range c.shards {
		if s := &c.shards[i]; s.mono(Time(s.first.Load())) <= now {
			c.todo = s.fire(c.todo)
		}
	}
}

// finish ends the goroutine.
func (c *Clock) finish() {
	for i := range c.shards {
		c.shards[i].close()
	}
	c.aligned.clear()
	c.watch.close()
	_ = c.poller.Close()
}

// call runs a ticker's callback on the clock's goroutine.
func (c *Clock) call(f func(Tick), t Tick) {
	defer c.caught()
	f(t)
}

// guard runs a function on the clock's goroutine.
func (c *Clock) guard(f func()) {
	defer c.caught()
	f()
}

// caught hands a panic to whoever wants it, and otherwise lets it go on.
func (c *Clock) caught() {
	if c.cfg.Panicked == nil {
		return
	}
	if v := recover(); v != nil {
		c.count.panics.Add(1)
		c.cfg.Panicked(v, debug.Stack())
	}
}
