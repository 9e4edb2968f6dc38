package sched

import (
	"math"
	"sync"
	"time"
)

// Load is one look at how much there is to do. What is unknown is 0 and counts
// as no load.
type Load struct {
	Rate  float64       // requests a second
	Depth int           // of the queue
	P99   time.Duration // of the answers of what the job works against
	Skew  time.Duration // 99th percentile of how late the job itself was
}

// PaceConfig says how a Pace is made. Only Base must be set.
type PaceConfig struct {
	// Base is the window when there is nothing special. Required.
	Base time.Duration

	// Drainer says that the job takes load away: it empties a queue. Others add
	// load, and none of them runs more often because there is much of it.
	Drainer bool

	// FullDepth and SlowP99 are where load begins to count as too much, and so
	// does a Rate of one and a half times its average of half an hour. Zero:
	// 5000, 2 s.
	FullDepth int
	SlowP99   time.Duration

	// LeastRate is the least average that the rate is compared with: with two
	// requests an hour the third is no flood. Zero: 1 a second.
	LeastRate float64

	// Most is the longest window, in multiples of Base from 1 to 5: from 5 it
	// takes ten windows back to Base, as fast as a window may change. Zero: 5.
	Most float64

	// Jitter puts each instant off by up to this part of the window, forward or
	// back, less than a half. Zero: a tenth. Negative: none.
	Jitter float64

	// Seed tells jobs with jitter apart; the name of the job is a good one.
	Seed string
}

// A Pace is an interval that adapts to load: a Trigger whose instants are one
// window apart, and the window is
//
//	Base        as long as there is no load, or nothing is known of it
//	longer      under load, in proportion, for jobs that add to it; for a Drainer
//	            while what it works against is slow
//	0.6 x Base  for a Drainer with a full queue in front of it
//
// Load lengthens windows because a job that fires more often under load makes
// more of it. It changes by at most a fifth in a window and in a second, no
// further than from a quarter of Base (and 50 ms, and twice the job's own
// lateness) to Most, and only when the load has been there for two samples, or
// gone for three, and three windows after the last such change:
//
//	          over 1, twice                       ┌─ 1.0 ──────
//	calm ───────────────────────► loaded     on ──┤  stays
//	 ▲                              │             └─ 0.8 ──────
//	 └──────────────────────────────┘        off
//	     under 0.8, three times
//
// When no Sample has come for three seconds the window stays for its own length
// and then goes back to Base. It never stays long or short after the load has
// gone.
//
// It is the one Trigger with a memory, so replicas do not have the same
// instants: it is not for jobs that are Guarded. It reads no clock: the times are
// those that it is given. Its methods may be called from any goroutine.
type Pace struct {
	cfg PaceConfig

	mu     sync.Mutex
	sample time.Time // the newest
	fast   float64   // average rate of some seconds
	slow   float64   // and of half an hour
	depth  float64   // averages of the shares of what is too much
	p99    float64
	skew   time.Duration
	loaded mode // too much load; for a Drainer too much for what it works against
	full   mode // a Drainer's queue
	width  float64
	moved  time.Time
}

// A mode is on or off, and slow to change.
type mode struct {
	on    bool
	count int // samples in a row that ask for a change
	since time.Time
}

const (
	enter, leave           = 1.0, 0.8 // pressure
	enterAfter, leaveAfter = 2, 3     // samples
	dwell                  = 3        // windows between two changes of a mode
	stepRatio              = 1.2
	stepTime               = time.Second
	band                   = 1.03 // a target that is nearer than this is there
	stale                  = 3 * time.Second
	soon                   = 500 * time.Millisecond // samples that come sooner are left out
	fastTime, slowTime     = 3 * time.Second, 30 * time.Minute
	flood                  = 1.5 // of the average rate
	drain                  = 0.6 // of Base
	shortest               = 50 * time.Millisecond
)

// NewPace makes one whose window is Base. Errors wrap ErrTrigger.
func NewPace(cfg PaceConfig) (*Pace, error) {
	switch {
	case cfg.Base <= 0:
		return nil, wrong("a window above 0 is needed")
	case cfg.Most != 0 && !(cfg.Most >= 1 && cfg.Most <= 5):
		return nil, wrong("the longest window is 1 to 5 times the base")
	case !(cfg.Jitter < 0.5):
		return nil, wrong("jitter is less than half a window")
	case cfg.FullDepth < 0 || cfg.SlowP99 < 0 || !(cfg.LeastRate >= 0) || math.IsInf(cfg.LeastRate, 1):
		return nil, wrong("load counts from 0")
	}
	unless(&cfg.FullDepth, 5000)
	unless(&cfg.SlowP99, 2*time.Second)
	unless(&cfg.LeastRate, 1)
	unless(&cfg.Most, 5)
	unless(&cfg.Jitter, 0.1)
	return &Pace{cfg: cfg, width: float64(cfg.Base)}, nil
}

func unless[T comparable](v *T, unset T) {
	var zero T
	if *v == zero {
		*v = unset
	}
}

// Sample says what the load is at that time. One a second is meant; one that
// comes within half a second of another is left out, and so is one whose Rate is
// no number.
func (p *Pace) Sample(at time.Time, l Load) {
	p.mu.Lock()
	defer p.mu.Unlock()
	since := at.Sub(p.sample)
	if since >= 0 && since < soon || math.IsNaN(l.Rate) || math.IsInf(l.Rate, 0) {
		return
	}
	p.move(at) // by what was known so far, if nothing came for long
	first := p.sample.IsZero()
	p.sample = at
	p.average(l, since, first)
	pressure := max(p.fast/max(p.slow, p.cfg.LeastRate)/flood, p.depth, p.p99)
	if p.cfg.Drainer {
		pressure = p.p99
		p.full.see(p.depth, at, p.dwell())
	}
	p.loaded.see(pressure, at, p.dwell())
}

// average takes the sample into the averages. The first is its own average.
func (p *Pace) average(l Load, since time.Duration, first bool) {
	part := func(of time.Duration) float64 {
		if first {
			return 1
		}
		return 1 - math.Exp(-max(0, since.Seconds())/of.Seconds())
	}
	into := func(average *float64, value float64, of time.Duration) {
		*average += (max(0, value) - *average) * part(of)
	}
	into(&p.fast, l.Rate, fastTime)
	into(&p.slow, l.Rate, slowTime)
	into(&p.depth, float64(l.Depth)/float64(p.cfg.FullDepth), fastTime)
	into(&p.p99, l.P99.Seconds()/p.cfg.SlowP99.Seconds(), fastTime)
	p.skew = max(0, l.Skew)
}

func (p *Pace) dwell() time.Duration { return time.Duration(dwell * p.width) }

// see has a sample ask for a change, or not.
func (m *mode) see(pressure float64, at time.Time, dwell time.Duration) {
	asks, after := pressure > enter, enterAfter
	if m.on {
		asks, after = pressure < leave, leaveAfter
	}
	if !asks {
		m.count = 0
		return
	}
	m.count++
	if m.count >= after && (m.since.IsZero() || at.Sub(m.since).Abs() >= dwell) {
		m.on, m.count, m.since = !m.on, 0, at
	}
}

// Width returns the window at that time.
func (p *Pace) Width(at time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.move(at)
	return time.Duration(p.width)
}

// target is where the window goes as long as samples come.
func (p *Pace) target() float64 {
	factor := 1.0
	switch {
	case p.loaded.on:
		pressure := p.p99
		if !p.cfg.Drainer {
			pressure = max(p.fast/max(p.slow, p.cfg.LeastRate)/flood, p.depth, pressure)
		}
		factor = max(1, pressure)
	case p.full.on:
		factor = drain
	}
	base := float64(p.cfg.Base)
	most := base * p.cfg.Most
	least := min(base, max(float64(shortest), base/4))
	return min(max(factor*base, least, 2*float64(p.skew)), most)
}

// move takes the steps that are due by then: one, or when nothing is known any
// more as many as there was time for.
func (p *Pace) move(at time.Time) {
	quiet := p.sample.Add(stale + time.Duration(p.width))
	if p.sample.IsZero() || !at.After(quiet) {
		if at.Sub(p.moved).Abs() >= p.stepTime() && p.step(p.target()) {
			p.moved = at
		}
		return
	}
	p.loaded, p.full, p.skew = mode{}, mode{}, 0
	if begun := quiet.Add(-p.stepTime()); p.moved.Before(begun) {
		p.moved = begun
	}
	for {
		next := p.moved.Add(p.stepTime())
		if next.After(at) || !p.step(float64(p.cfg.Base)) {
			return
		}
		p.moved = next
	}
}

func (p *Pace) stepTime() time.Duration { return max(stepTime, time.Duration(p.width)) }

// step brings the window nearer to a target, and reports whether it was away
// from it. Base itself is reached, and not only nearly.
func (p *Pace) step(target float64) bool {
	away := target / p.width
	if away == 1 || away < band && away > 1/band && target != float64(p.cfg.Base) {
		return false
	}
	p.width *= min(max(away, 1/stepRatio), stepRatio)
	if math.Abs(p.width-target) < 1 { // a nanosecond
		p.width = target
	}
	return true
}

// Next implements Trigger: it is a window after prev.
func (p *Pace) Next(prev time.Time) time.Time {
	width := float64(p.Width(prev))
	if p.cfg.Jitter > 0 {
		share := float64(mix(seed(p.cfg.Seed)+uint64(prev.UnixNano()))>>11) / (1 << 53) // 0 to 1
		width *= 1 + p.cfg.Jitter*(2*share-1)
	}
	return prev.Round(0).Add(max(1, time.Duration(width)))
}

// Count implements Counter for windows of the present width, without jitter.
func (p *Pace) Count(after, upto time.Time) (n uint64, last time.Time) {
	width := p.Width(after)
	between := upto.Sub(after)
	if between < width {
		return 0, time.Time{}
	}
	n = uint64(between / width)
	return n, after.Round(0).Add(time.Duration(n) * width)
}

// Steady implements Steady.
func (*Pace) Steady() bool { return true }
