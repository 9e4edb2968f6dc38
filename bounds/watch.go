package bounds

import (
	"slices"

	"github.com/weir-go/weir/timer"
)

// watch looks at every load, asks the kernel if it is time, and moves the states
// on. On the goroutine of the Bounds.
func (b *Bounds) watch(now timer.Time) {
	b.mu.Lock()
	gauges := b.gauges
	count := b.counted == 0 || now.Sub(b.counted) >= b.cfg.Count
	b.mu.Unlock()

	for _, g := range gauges {
		g.last = g.load()
	}
	if count {
		b.count(now)
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.resources[1:] {
		r.load = 0
	}
	for _, g := range gauges {
		if g.last > g.of.load { // what is not a number counts as nothing
			g.of.load = g.last
		}
	}
	for _, r := range b.resources[1:] {
		b.step(r, now, r.load, r.load)
	}
	b.lookAtFDs(now)
	b.judge(now)
}

// count takes in what the kernel says: how many descriptors are open, and how
// many there may be.
func (b *Bounds) count(now timer.Time) {
	open, err := b.sources.inUse()
	limit, errLimit := b.limit()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counted = now
	b.counts++
	if err != nil || errLimit != nil {
		b.countErrs++
		return
	}
	b.resize(limit)
	b.fds.correct(open)
}

// lookAtFDs moves the state of the descriptors on. mu is held.
func (b *Bounds) lookAtFDs(now timer.Time) {
	r := b.resources[0]
	var peak float64
	r.load, peak = b.fds.seen()
	b.step(r, now, r.load, peak)
	b.alarm = int(^uint(0) >> 1)
	if s := r.machine.state; s < Hard {
		b.alarm = int(r.machine.rules[s+1].Enter * float64(b.fds.capacity))
	}
}

// step moves one state on. mu is held.
func (b *Bounds) step(r *resource, now timer.Time, load, peak float64) {
	from := r.machine.state
	if load != load { // not a number
		load, peak = 0, 0
	}
	changed := r.machine.step(sample{now: now, load: load, peak: peak, out: r.out})
	r.out = false
	if !changed {
		return
	}
	r.entered[r.machine.state]++
	if b.cfg.Changed == nil {
		return
	}
	if len(b.untold) == maxUntold {
		b.untold = b.untold[:copy(b.untold, b.untold[1:])]
		b.lost++
	}
	b.untold = append(b.untold, Change{Resource: r.name, From: from, To: r.machine.state, Load: load, At: now})
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// tell hands the changes on. On the goroutine of the Bounds.
func (b *Bounds) tell() {
	b.mu.Lock()
	changes := slices.Clone(b.untold)
	b.untold = b.untold[:0]
	b.mu.Unlock()
	for _, c := range changes {
		b.cfg.Changed(c)
	}
}

// Exhausted says that somebody asked the kernel for one of these and there was
// none (EMFILE, ENFILE, ENOMEM, ENOBUFS), whatever the counts say: the state is
// Hard now.
func (b *Bounds) Exhausted(name Resource) {
	now := b.sources.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.resource(name)
	if r == nil {
		return
	}
	r.out = true
	r.outs++
	if r == b.resources[0] {
		b.counted = 0 // the count was wrong
		b.lookAtFDs(now)
	} else {
		b.step(r, now, r.load, r.load)
	}
	b.judge(now)
}

// judge says what the states come to. mu is held.
func (b *Bounds) judge(now timer.Time) {
	v := &Verdict{Resource: Descriptors}
	worst := b.resources[0]
	for _, r := range b.resources {
		v.Back = max(v.Back, r.machine.back(now))
		if s, w := r.machine.state, worst.machine.state; s > w || s == w && r.load > worst.load {
			worst = r
		}
	}
	v.State, v.Resource, v.Load, v.Since = worst.machine.state, worst.name, worst.load, worst.machine.since
	before := b.verdict.Load()
	if before != nil && before.State != Normal && v.State == Normal {
		b.normal = now
	}
	if v.State == Normal {
		v.Streams = 1
		if done := now.Sub(b.normal); b.normal != 0 && done < b.cfg.Ramp {
			v.Streams = float64(done) / float64(b.cfg.Ramp)
		}
	}
	if before == nil || *before != *v {
		b.verdict.Store(v)
	}
}
