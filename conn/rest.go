package conn

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/poller"
	"github.com/weir-go/weir/timer"
)

// rest is how a loop sleeps. In the kernel, on a thread and with a P, it is
// there the moment something is ready, which is right for one that has much to
// do. But a P whose goroutine sits in a system call is left to it for 10 ms,
// while Go's monitor looks at it some sixty times, and each look is two changes
// of threads: of a loop with a few hundred events a second it is three quarters
// of all it costs. So a loop that mostly sleeps parks, as goroutines do that
// wait for a socket of package net; and like them it is told late, by 5 to
// 20 ms, when every P is busy with one goroutine. Hence two conditions:
//
//	        sleeps longer than from, and the process uses less than a
//	        third of its Ps, for which hardly anybody waits
//	┌───────┐ ─────────────────────────────────────────────────► ┌────────┐
//	│ holds │                                                    │ parked │
//	└───────┘ ◄───────────────────────────────────────────────── └────────┘
//	        sleeps shorter than till, or the process uses more than
//	        half of its Ps, or somebody waits for one more often than not
//
// One that hands much of its work to goroutines has its P taken over by them, so
// that the monitor has less to look at, and gains later.
type rest struct {
	parked bool
	sleeps time.Duration // how long, smoothed; each counts as sleepMost at most
	hands  int           // of a thousand turns, those that handed work off, smoothed
	ended  timer.Time    // the last turn
	next   timer.Time    // parking is not tried before
}

// long is how long the sleeps of a loop are for which parking pays, from when
// it did not and till when it did. Figures: decision 18.
type long struct{ from, till time.Duration }

var (
	longInline  = long{800 * time.Microsecond, 400 * time.Microsecond}
	longHanding = long{4 * time.Millisecond, 2 * time.Millisecond}
)

const (
	sleepMost = 20 * time.Millisecond
	parkAgain = 100 * time.Millisecond
	handsMost = 300 // above, it is a loop that hands its work to goroutines
)

// begin has the poller park once, so that what it needs for that is there, or never
// tried for again: how many descriptors a runtime has does not change.
func (r *rest) begin(p *poller.Poller, now timer.Time, never bool) {
	r.ended, r.next = now, timer.Never
	if !never && p.Park(true) == nil && p.Park(false) == nil {
		r.next = now
	}
}

// woke notes that the loop has slept until now, and whether it was told something.
// A sleep that only time has ended counts as none: the end of it is slept in the
// kernel, and the two together cost more than one there.
func (r *rest) woke(now timer.Time, told bool) {
	var slept time.Duration
	if told {
		slept = min(now.Sub(r.ended), sleepMost)
	}
	r.sleeps += (slept - r.sleeps) / 8
}

// parksNext reports whether the sleep that comes gives the P away. One that a timer
// is to end soon does not, see poller.ParkLeast; twice that, for the clock goes on.
func (l *loop) parksNext() bool {
	if !l.rest.parked {
		return false
	}
	when, ok := l.heap.Next()
	return !ok || when.Sub(l.now) > 2*poller.ParkLeast
}

// settleRest decides how the loop sleeps next; its turn has ended now.
func (l *loop) settleRest(now timer.Time) {
	r, pays, hands := &l.rest, &longInline, 0
	if l.handed > 0 {
		hands = 1000
	}
	if r.hands += (hands - r.hands) / 64; r.hands > handsMost {
		pays = &longHanding
	}
	r.ended = now
	switch {
	case r.parked && (r.sleeps < pays.till || l.rt.load.busy(now, l.handed) > busyAbove):
		l.poller.Park(false) // if it fails, the loop goes on parking: dearer, not wrong
		r.parked, r.next = false, now.Add(parkAgain)
	case !r.parked && r.sleeps > pays.from && now >= r.next && l.rt.load.busy(now, l.handed) < calmBelow:
		r.parked = l.poller.Park(true) == nil
		r.next = now.Add(parkAgain)
	}
}

// load is how busy the process is, in thousandths: the processor's time that it
// used in the last while, of what all its Ps could have; or, if that is more, how
// often a goroutine was found waiting for a P. On cores that others use, too, a
// process whose Ps are all taken gets little time.
type load struct {
	share atomic.Int64
	next  atomic.Int64 // when to look again

	mu    sync.Mutex
	at    timer.Time
	used  time.Duration
	waits int64 // smoothed
	ready [1]metrics.Sample
}

const (
	calmBelow = 333 // thousandths of all Ps
	busyAbove = 500
	loadEvery = 20 * time.Millisecond
)

// begin has nothing to compare with: the process counts as busy at first.
func (o *load) begin(now timer.Time) {
	o.share.Store(1000)
	o.at, o.used = now, processTime()
	o.next.Store(int64(now.Add(loadEvery)))
	o.ready[0].Name = "/sched/goroutines/runnable:goroutines"
}

// busy looks again when it is time. A loop asks at the end of a turn in which it
// has readied handed goroutines, whose waiting says nothing. Any loop.
func (o *load) busy(now timer.Time, handed int) int64 {
	if int64(now) >= o.next.Load() && o.mu.TryLock() {
		metrics.Read(o.ready[:])
		v := o.ready[0].Value
		o.look(now, processTime(), runtime.GOMAXPROCS(0), v.Kind() == metrics.KindUint64 && v.Uint64() > uint64(handed))
		o.mu.Unlock()
	}
	return o.share.Load()
}

// look takes note of what the process has used until now, and of whether somebody
// waits for a P.
func (o *load) look(now timer.Time, used time.Duration, ps int, waits bool) {
	var most int64
	if waits {
		most = 1000
	}
	o.waits += (most - o.waits) / 4
	if wall := now.Sub(o.at); wall > 0 {
		o.share.Store(max(o.waits, int64(1000*float64(used-o.used)/(float64(wall)*float64(ps)))))
	}
	o.at, o.used = now, used
	o.next.Store(int64(now.Add(loadEvery)))
}
