package conn

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Stats is what a Runtime has counted since Start, and how much it holds now.
type Stats struct {
	Loops []LoopStats

	Conns    int64  // open now, on both faces
	Opened   uint64 // accepted, dialed and adopted
	Closed   uint64 // whatever the cause
	Accepted uint64 // by listeners, farewells not among them
	Dialed   uint64 // from here

	// Bytes out of and into the kernel, on both faces. What a function moves that
	// was given to Control, RawRead or RawWrite is in it only if Moved was told.
	BytesRead    uint64
	BytesWritten uint64

	BudgetUsed     int64  // bytes of storage in buffers now
	BudgetLimit    int64  // Config.ByteBudget
	BudgetRefusals uint64 // writes refused and connections closed for want of budget

	// Accepts that made no connection, by reason. Trace.Refused is told of each.
	RefusedFDs      uint64 // EMFILE, ENFILE: the listener was parked
	RefusedMemory   uint64 // ENOBUFS, ENOMEM: likewise
	RefusedLimit    uint64 // MaxConns: closed at once
	RefusedBounds   uint64 // Config.Bounds: the listener was parked. Times, not peers: those wait
	Farewells       uint64 // told that they are not let in, see ListenConfig.Farewell
	RefusedGuard    uint64 // ListenConfig.Guard: closed at once, or once a proxy had said whom it speaks for
	RefusedShutdown uint64 // came when the runtime was shutting down
	RefusedHandler  uint64 // Serve returned nil
	AcceptErrors    uint64 // others, such as ECONNABORTED

	// Closes that waited for the peer's end, see Conn.Close.
	Lingering      int64  // now; they count in Conns
	Lingered       uint64 // ever
	LingerTimeouts uint64 // cut off: the peer did not end within CloseTimeout
	LingerOverruns uint64 // cut off: the peer sent LingerBytes
	LingerRefusals uint64 // closed without: LingerConns did already, or descriptors were short

	Full          uint64 // writes answered with ErrFull
	ReadPauses    uint64 // times a connection reached InLimit
	IdleCloses    uint64 // ended with ErrIdle: Options.Idle, or FirstByte
	SlowCloses    uint64 // ended with ErrSlow: Options.MinRate
	Aborts        uint64 // reset from here, by Abort or because Close could not flush in time
	Panics        uint64 // of callbacks; each has ended its connection
	SlowCallbacks uint64 // that held their loop for longer than Config.SlowCallback
	PostBusy      uint64 // Posts answered with ErrBusy
	PoolBusy      uint64 // Gos answered with ErrBusy
	Working       int64  // Gos that have not come back
}

// LoopStats is what one loop has counted.
type LoopStats struct {
	Turns          uint64 // a wait and the work that it brought, or work that readied goroutines had left
	Parks          uint64 // sleeps without a thread, see Config.KeepThread
	Events         uint64 // readiness events
	Stale          uint64 // of them, for sources that had left
	Posted         uint64 // functions and wishes from other goroutines
	Timers         uint64 // fired
	TimersSet      int64  // at the end of the last turn
	SlowTurns      uint64 // longer than Config.SlowCallback
	Wakes          uint64 // eventfd writes
	WakesCoalesced uint64 // wakes that needed none
	Conns          int64

	TurnTime   Histogram // nanoseconds a turn took, without its sleep
	TurnEvents Histogram // events of a turn
}

// Histogram counts values by powers of two: bucket 0 holds zeros, bucket i
// those of i bits, the last one also all that are larger.
type Histogram struct {
	Count   uint64
	Sum     uint64
	Buckets [32]uint64
}

// Bound returns the largest value that bucket i counts (but for the last,
// which has none).
func (h *Histogram) Bound(i int) uint64 { return 1<<i - 1 }

func (h *Histogram) add(v uint64) {
	h.Count++
	h.Sum += v
	h.Buckets[min(bits.Len64(v), len(h.Buckets)-1)]++
}

// counts is what a loop counts during a turn, without atomics or locks.
type counts struct {
	stale, posted, timers, parks  uint64
	bytesRead, bytesWritten       uint64 // by others than the loop: tally
	opened, closed                uint64
	panics, idle, slow, inPauses  uint64
	slowTurns                     uint64
	accepted, dialed              uint64
	lingered, lingerTime          uint64
	lingerBytes, lingerFull       uint64
	refFDs, refMemory, refLimit   uint64
	refBounds, farewells          uint64
	refGuard                      uint64
	refShutdown, refHandler, refs uint64
}

// tally is where goroutines that are not the loop count the bytes that they
// move. The connections of a loop share a few, each a cache line from the next,
// so that callers on different processors seldom meet at one.
type tally struct {
	read, written atomic.Uint64
	_             [48]byte
}

// tally returns the one that c's bytes are counted in.
func (c *Conn) tally() *tally { return &c.loop.tallies[c.token.Slot()%tallies] }

const tallies = 8 // of each loop

// Moved counts bytes for Stats that went past b: through the descriptor, in a
// function given to RawRead, RawWrite or Control. Any goroutine.
func (b *Blocking) Moved(read, written int) {
	t := b.c.tally()
	t.read.Add(uint64(max(read, 0)))
	t.written.Add(uint64(max(written, 0)))
}

// published is what of a loop others may see, brought up to date once a turn.
type published struct {
	mu     sync.Mutex
	turns  uint64
	events uint64
	total  counts
	timers int // that are set
	times  Histogram
	sizes  Histogram
}

func (l *loop) publish(events int, took time.Duration) {
	p := &l.published
	p.mu.Lock()
	p.turns++
	p.events += uint64(events)
	p.times.add(uint64(max(took, 0)))
	p.sizes.add(uint64(events))
	p.total.add(&l.count)
	p.timers = l.heap.Len()
	p.mu.Unlock()
	l.count = counts{}
}

// publishLast adds what was counted after the last turn.
func (l *loop) publishLast() {
	l.published.mu.Lock()
	defer l.published.mu.Unlock()
	l.published.total.add(&l.count)
	l.published.timers = l.heap.Len()
}

func (t *counts) add(c *counts) {
	t.bytesRead += c.bytesRead
	t.bytesWritten += c.bytesWritten
	t.posted += c.posted
	t.timers += c.timers
	t.parks += c.parks
	t.stale += c.stale
	t.opened += c.opened
	t.closed += c.closed
	t.accepted += c.accepted
	t.dialed += c.dialed
	t.panics += c.panics
	t.idle += c.idle
	t.slow += c.slow
	t.slowTurns += c.slowTurns
	t.inPauses += c.inPauses
	t.lingered += c.lingered
	t.lingerTime += c.lingerTime
	t.lingerBytes += c.lingerBytes
	t.lingerFull += c.lingerFull
	t.refFDs += c.refFDs
	t.refMemory += c.refMemory
	t.refLimit += c.refLimit
	t.refBounds += c.refBounds
	t.farewells += c.farewells
	t.refGuard += c.refGuard
	t.refShutdown += c.refShutdown
	t.refHandler += c.refHandler
	t.refs += c.refs
}

// Stats returns what has been counted. It waits for no loop: what the turn
// under way has done is not in it yet. Any goroutine.
func (rt *Runtime) Stats() Stats {
	s := Stats{
		Conns:          rt.conns.Load(),
		BudgetUsed:     rt.budget.used.Load(),
		BudgetLimit:    rt.budget.limit,
		BudgetRefusals: rt.budget.refused.Load(),
		Full:           rt.full.Load(),
		Aborts:         rt.aborts.Load(),
		Lingering:      rt.lingers.Load(),
		SlowCallbacks:  rt.slow.Load(),
		PostBusy:       rt.postBusy.Load(),
		PoolBusy:       rt.poolBusy.Load(),
		Working:        rt.working.Load(),
	}
	for _, l := range rt.all {
		l.statsInto(&s)
	}
	return s
}

func (l *loop) statsInto(s *Stats) {
	p := &l.published
	wakes := l.poller.Stats()
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &p.total
	s.Loops = append(s.Loops, LoopStats{
		Turns: p.turns, Parks: t.parks, Events: p.events, Stale: t.stale, Posted: t.posted, Timers: t.timers, TimersSet: int64(p.timers),
		SlowTurns: t.slowTurns, Wakes: wakes.Wakes, WakesCoalesced: wakes.WakesCoalesced, Conns: l.conns.Load(),
		TurnTime: p.times, TurnEvents: p.sizes,
	})
	s.Opened += t.opened
	s.Closed += t.closed
	s.Accepted += t.accepted
	s.Dialed += t.dialed
	s.BytesRead += t.bytesRead
	s.BytesWritten += t.bytesWritten
	for i := range l.tallies {
		s.BytesRead += l.tallies[i].read.Load()
		s.BytesWritten += l.tallies[i].written.Load()
	}
	s.Panics += t.panics
	s.IdleCloses += t.idle
	s.SlowCloses += t.slow
	s.ReadPauses += t.inPauses
	s.Lingered += t.lingered
	s.LingerTimeouts += t.lingerTime
	s.LingerOverruns += t.lingerBytes
	s.LingerRefusals += t.lingerFull
	s.RefusedFDs += t.refFDs
	s.RefusedMemory += t.refMemory
	s.RefusedLimit += t.refLimit
	s.RefusedBounds += t.refBounds
	s.Farewells += t.farewells
	s.RefusedGuard += t.refGuard
	s.RefusedShutdown += t.refShutdown
	s.RefusedHandler += t.refHandler
	s.AcceptErrors += t.refs
}
