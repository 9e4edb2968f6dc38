package sched

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/weir-go/weir/timer"
)

// A gate is something that a run needs before it begins: a place in its queue, a
// token of its rate, a resource. A run that finds one closed waits at it, and
// holds nothing meanwhile:
//
//	ready ──► pull ── all gates open? ──► tokens taken ──► body ──► tokens back
//	  ▲                  │ no                                          │
//	  └── let ◄─────── parked at the first that is closed ◄── let ─────┘
//
// So runs that need it begin in order, those that do not pass by, and no worker
// is pinned. It belongs to the Scheduler's lock.
type gate struct {
	s     *Scheduler
	name  string
	total int // tokens in all. Zero: no end of them
	free  int

	limit  *rate.Limiter // nil: none
	timer  timer.Timer   // for its next token
	paused bool

	parked  [levels]list
	waiting int // how many are parked
}

// A claim is what a run takes at a gate.
type claim struct {
	gate *gate
	n    int
}

// open reports whether a run may take so much now.
func (g *gate) open(n int, now timer.Time) bool {
	return !g.paused && (g.total == 0 || g.free >= n) && (g.limit == nil || g.limit.TokensAt(at(now)) >= 1)
}

// at is an instant for a Limiter, which only looks at differences.
func at(now timer.Time) time.Time { return time.Unix(0, int64(now)) }

// queued reports whether a run of this level waits at the gate, or of one above.
func (g *gate) queued(level int) bool {
	for l := level; l < levels && g.waiting > 0; l++ {
		if g.parked[l].n > 0 {
			return true
		}
	}
	return false
}

// park lets the run wait. Locked.
func (g *gate) park(r *run, now timer.Time) {
	r.at, r.let = g, false
	g.parked[r.level()].push(&r.place)
	g.waiting++
	g.expect(now)
}

// expect sets the timer for the next token of the rate. Locked.
func (g *gate) expect(now timer.Time) {
	if g.limit == nil || g.waiting == 0 || g.timer.Active() {
		return
	}
	if lacks := 1 - g.limit.TokensAt(at(now)); lacks > 0 {
		wait := time.Duration(min(lacks/float64(g.limit.Limit()), farOff)*float64(time.Second)) + time.Microsecond
		g.s.set(0, &g.timer, now.Add(wait))
	}
}

// farOff is the longest that is waited for a token before it is looked again, in
// seconds: some 30 years.
const farOff = 1e9

// tokens is the gate's timer.
type tokens gate

func (t *tokens) Fire(now timer.Time) { (*gate)(t).admit(now) }

// take takes tokens from a gate that is open.
func (g *gate) take(n int, now timer.Time) {
	g.free -= n // below zero, without a meaning, where there is no end of them
	if g.limit != nil {
		g.limit.AllowN(at(now), 1)
		g.expect(now) // those who wait for the next one, however long this run takes
	}
}

// give puts tokens back and lets in who waits for them. Locked.
func (g *gate) give(n int, now timer.Time) {
	g.free += n
	if g.waiting > 0 {
		g.admit(now)
	}
}

// admit lets as many runs go on to be pulled as there is room for, in order. If
// the first one needs more than there is, those behind it wait with it: else it
// would wait as long as smaller ones come. Locked.
func (g *gate) admit(now timer.Time) {
	room, allowed := g.free, tokensOf(g.limit, now)
	for level := levels - 1; level >= 0 && !g.paused; level-- {
		for k := g.parked[level].first; k != nil && allowed > 0; k = g.parked[level].first {
			n := k.r.claims(g)
			if g.total > 0 && n > room {
				level = 0
				break
			}
			room -= n
			allowed--
			g.unpark(k.r)
			k.r.let = true
			g.s.again[level].push(k)
			g.s.readied++
		}
	}
	g.expect(now)
}

// passOn gives others a chance at what a run was let go on for that does not take
// it now: it parks at another gate, or it is given up. Locked.
func (r *run) passOn(now timer.Time) {
	for _, c := range r.spec.claims {
		if c.gate.waiting > 0 {
			c.gate.admit(now)
		}
	}
}

// tokensOf is how many tokens the rate has now.
func tokensOf(l *rate.Limiter, now timer.Time) int {
	if l == nil {
		return 1 << 30
	}
	return int(l.TokensAt(at(now)))
}

// unpark takes a run out of those that wait. Locked.
func (g *gate) unpark(r *run) {
	r.place.leave()
	r.at = nil
	g.waiting--
}
