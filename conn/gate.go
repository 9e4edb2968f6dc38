package conn

import (
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/timer"
)

// gate is where one direction of a Blocking waits. Its state is a word of bits
// that the loop, deadlines and Close set, and one that says somebody waits:
//
//	edge      trying makes sense: something came since it was cleared
//	over      the peer has hung up: trying always makes sense
//	expired   the deadline has passed
//	shutGate  closed
//	parked    a goroutine waits on ch
//
// Who waits sets parked only while none of the others is set; who sets one of
// them clears parked and sends. So there is at most one send for each parked,
// and ch, with room for one, never blocks the loop.
type gate struct {
	state    atomic.Uint32
	deadline timer.Time // guarded by Blocking.dmu
	ch       chan struct{}
}

const (
	edge uint32 = 1 << iota
	over
	expired
	shutGate
	parked
)

func (g *gate) set(what uint32)   { g.state.Or(what) }
func (g *gate) clear(what uint32) { g.state.And(^what) }

// wait waits until a bit is set. The caller holds the direction's mutex, so
// there is one waiter.
func (g *gate) wait() {
	if g.ch == nil {
		g.ch = make(chan struct{}, 1)
	}
	for {
		s := g.state.Load()
		if s != 0 {
			return
		}
		if g.state.CompareAndSwap(s, s|parked) {
			<-g.ch
			return
		}
	}
}

// wake sets bits and wakes who waits; true when somebody did.
func (g *gate) wake(what uint32) bool {
	for {
		s := g.state.Load()
		if s&what == what && s&parked == 0 {
			return false
		}
		if g.state.CompareAndSwap(s, (s|what)&^parked) {
			if s&parked != 0 {
				g.ch <- struct{}{}
				return true
			}
			return false
		}
	}
}

// SetDeadline sets both deadlines. A zero t ends them. A deadline that passes,
// or is past already, ends calls in flight with os.ErrDeadlineExceeded; a later
// one lets calls through again.
func (b *Blocking) SetDeadline(t time.Time) error { return b.setDeadline(t, &b.r, &b.w) }

// SetReadDeadline sets the deadline of Read, WaitRead and RawRead.
func (b *Blocking) SetReadDeadline(t time.Time) error { return b.setDeadline(t, &b.r) }

// SetWriteDeadline sets the deadline of Write and RawWrite.
func (b *Blocking) SetWriteDeadline(t time.Time) error { return b.setDeadline(t, &b.w) }

func (b *Blocking) setDeadline(t time.Time, gates ...*gate) error {
	if !b.users.enter() {
		return ErrClosed
	}
	defer b.leave()
	var when timer.Time
	past := false
	if !t.IsZero() {
		now := timer.Now()
		when = instant(t, now)
		past = when <= now
	}
	b.dmu.Lock()
	defer b.dmu.Unlock()
	for _, g := range gates {
		g.deadline = when
		if past {
			g.deadline = 0 // expired says it all
			g.wake(expired)
		} else if g.state.Load()&expired != 0 { // it seldom is, and to look is cheaper
			g.clear(expired)
		}
	}
	// A timer that is set earlier finds the new deadline when it comes up; only
	// an earlier deadline is worth a word to the loop.
	if when != 0 && !past && (b.armed == 0 || when < b.armed) {
		b.armed = when
		b.c.ask(askTimer)
	}
	return nil
}

// instant is t on the clock of the timers, where it is now. Deadlines are set
// for each read or write, and reading the clock is most of what that costs; so
// a t that comes from time.Now, and knows itself how long it is from the epoch,
// costs no reading of its own. Others are of the wall clock, which may have been
// set since.
func instant(t time.Time, now timer.Time) timer.Time {
	if t == t.Round(0) { // no monotonic reading
		return now.Add(time.Until(t))
	}
	return epoch.at.Add(t.Sub(epoch.time))
}

// epoch is one instant on both clocks. What passes between reading the one and
// the other makes deadlines late by as much: the closest of a few pairs is
// taken.
var epoch = func() (best struct {
	time time.Time
	at   timer.Time
}) {
	for closest := time.Hour; closest > 0; {
		before := timer.Now()
		t := time.Now()
		at := timer.Now()
		if gap := at.Sub(before); gap < closest {
			best.time, best.at, closest = t, at, gap
		} else {
			break
		}
	}
	return best
}()

// arm sets the loop's timer for the next deadline. On the loop.
func (b *Blocking) arm(l *loop) {
	b.dmu.Lock()
	defer b.dmu.Unlock()
	if next := b.nextDeadline(); next != 0 {
		b.armed = next
		l.heap.Set(&b.c.timer, next)
	} else {
		b.armed = 0
		l.heap.Stop(&b.c.timer)
	}
}

// expire ends calls whose deadline has passed. On the loop.
func (b *Blocking) expire(l *loop, now timer.Time) {
	b.dmu.Lock()
	for _, g := range [...]*gate{&b.r, &b.w} {
		if g.deadline != 0 && g.deadline <= now {
			g.deadline = 0
			if g.wake(expired) {
				l.handed++
			}
		}
	}
	b.dmu.Unlock()
	b.arm(l)
}

func (b *Blocking) nextDeadline() timer.Time {
	switch r, w := b.r.deadline, b.w.deadline; {
	case r == 0:
		return w
	case w == 0:
		return r
	default:
		return min(r, w)
	}
}
