package sched

import (
	"runtime/debug"
	"time"

	"github.com/weir-go/weir/timer"
)

// due is a task whose instant has come, on its way to a decision. Its trigger is
// asked without the lock: it is the user's code.
type due struct {
	task  *Task
	spec  *spec
	gen   uint32
	flags flags
	at    Instant
	when  timer.Time // at, as the clock counts
	plan  plan
}

// batch is how many tasks are decided at a time, or as many as a heap has for
// one instant.
const batch = 512

// base is what to add to the clock's present to have an Instant.
type base int64

func (b base) instant(t timer.Time) Instant { return Instant(t.Add(time.Duration(b))) }

// mono is the clock's time of an instant, negative for one from before the clock
// began.
func (b base) mono(i Instant) timer.Time { return timer.Time(i).Add(-time.Duration(b)) }

// bases are those of triggers that measure time, which stays what it was when the
// Scheduler was made, and of those that follow the wall clock.
type bases struct{ steady, wall base }

func (b *bases) of(steady bool) base {
	if steady {
		return b.steady
	}
	return b.wall
}

// wake is what the clock calls.
//
//	pop (lock) ──► decide (no lock) ──► apply (lock) ──┐
//	 ▲───────────────── until nothing is due ──────────┘──► sleep
func (s *Scheduler) wake() {
	s.mu.Lock()
	s.count.Wakes++
	if s.dispatching { // the clock may call twice; the one who is at it looks again
		s.recall = true
		s.mu.Unlock()
		return
	}
	s.dispatching = true
	for again := true; again; again = s.recall {
		s.recall = false
		now := s.clock.Now()
		s.woke = now
		s.measure(now)
		for s.pop(now) {
			dues, at := s.due, s.bases
			s.mu.Unlock()
			for i := range dues {
				dues[i].decide(at.of(dues[i].spec.steady).instant(now))
			}
			s.mu.Lock()
			for i := range dues {
				s.apply(&dues[i], now)
			}
			clear(dues)
			s.due = append(dues[:0], s.more...)
			s.more = s.more[:0]
			if s.wanted() || len(s.told) >= some {
				s.release()
				s.mu.Lock()
			}
		}
	}
	s.dispatching = false
	s.sleep()
	s.release()
}

// pop collects tasks that are due, and lets everything else that is due have its
// way. It reports whether there is something to decide. Locked.
func (s *Scheduler) pop(now timer.Time) bool {
	for i := range s.wheel {
		if next, any := s.wheel[i].Next(); any && next <= now {
			s.wheel[i].Advance(now)
			if len(s.due) >= batch {
				return true
			}
		}
	}
	return len(s.due) > 0
}

// decide says what is to become of it. Not locked.
func (d *due) decide(now Instant) {
	if p := d.spec.period; p > 0 && d.at+Instant(p) > now && d.flags&(resync|lapsed|gone) == 0 &&
		now-d.at <= Instant(time.Second) && d.spec.Misfire.After == 0 {
		d.plan = plan{run: d.at, next: d.at + Instant(p), after: max(time.Second, p/10)} // as nearly always
		return
	}
	d.ask(now)
}

// ask asks the trigger.
func (d *due) ask(now Instant) {
	defer func() {
		if v := recover(); v != nil {
			_, err := note(&PanicError{Value: v, Stack: debug.Stack()}, TriggerPanicked)
			d.plan = plan{failed: err}
			d.plan.give(Failed, TriggerPanicked, d.at, d.at, 1)
		}
	}()
	if d.flags&resync != 0 {
		d.plan = plan{next: following(d.spec.Trigger, now)}
		return
	}
	if d.flags&(lapsed|gone) == 0 && now < d.at { // by now the wall clock shows less than when the timer was set
		d.plan = plan{next: d.at, early: true}
		return
	}
	if d.flags&(lapsed|gone) == 0 {
		d.plan = d.spec.Misfire.plan(d.spec.Trigger, d.at, now)
		return
	}
	d.plan = giveUp(d.spec.Trigger, d.at, now)
	d.plan.lost, d.plan.why = Skipped, Paused
}

// apply does what was decided. Locked.
func (s *Scheduler) apply(d *due, now timer.Time) {
	t, p := d.task, &d.plan
	t.flags &^= popped
	switch {
	case t.flags&gone != 0:
		s.span(t, d, p.all(Cancelled, t.why), now)
		s.remain(d, now)
		return
	case t.gen != d.gen:
		s.span(t, d, p.all(Cancelled, Rescheduled), now)
		s.remain(d, now)
		return
	case t.flags&paused != 0:
		return // Resume sets it again
	case (p.behind || t.flags&catching != 0) && t.live != nil && len(t.live.runs) > 0:
		t.flags |= behind
		return
	}
	if p.failed != nil {
		s.count.Panics++
	}
	if p.early {
		t.spec.series.Early++
	}
	if p.count > 0 {
		s.span(t, d, *p, now)
	}
	s.plan(t, p.next, p.pace, now)
	if p.run != 0 {
		s.occur(t, d, now)
	}
	s.settled(t, now)
}

// remain has what is left to decide of a task that is gone, or has another trigger
// by now, decided in the next round. Locked.
func (s *Scheduler) remain(d *due, now timer.Time) {
	if next := d.plan.next; next != 0 && s.bases.of(d.spec.steady).mono(next) <= now {
		s.more = append(s.more, due{task: d.task, spec: d.spec, gen: d.gen, at: next, when: d.when, flags: d.flags | lapsed})
	}
}

// occur makes an occasion of the instant that is to be run. Locked.
func (s *Scheduler) occur(t *Task, d *due, now timer.Time) {
	p := &d.plan
	o := occasion{instant: p.run, first: p.run, due: d.when, decided: now}
	if p.run != d.at {
		o.due = s.bases.of(t.spec.steady).mono(p.run)
	}
	if p.count > 0 && p.lost == Coalesced {
		o.missed, o.first = p.count, p.first
	}
	t.live = orNew(t.live)
	t.live.after = p.after
	if l := t.live; l.missed > 0 {
		o.missed, o.first = o.missed+l.missed, l.first
		l.missed, l.first = 0, 0
	}
	if p.behind {
		t.flags |= catching
		t.live.pace = now.Add(p.pace)
	}
	t.spec.series.decided(o.due, now)
	_ = s.fire(t, o, now) // what became of it is in the ledger
}

// orNew is l, or a new one.
func orNew(l *live) *live {
	if l == nil {
		l = new(live)
	}
	return l
}

// span writes the line of instants that are given up. Locked.
func (s *Scheduler) span(t *Task, d *due, p plan, now timer.Time) {
	if p.count == 0 {
		return
	}
	if p.carry {
		l := orNew(t.live)
		t.live = l
		if l.missed == 0 {
			l.first = p.first
		}
		l.missed += p.count
	}
	s.enter(t, entry{spec: d.spec, instant: p.last, first: p.first, count: p.count, outcome: p.lost, reason: p.why,
		due: s.bases.of(d.spec.steady).mono(p.last), decided: now, ended: now, err: p.failed})
}

// plan sets the task's timer for its next instant, or later if it is to keep a
// pace. Locked.
func (s *Scheduler) plan(t *Task, next Instant, pace time.Duration, now timer.Time) {
	t.next = next
	if next == 0 {
		return
	}
	when := s.bases.of(t.spec.steady).mono(next)
	if pace > 0 && when <= now {
		when = now.Add(pace)
	}
	s.set(t.heap, &t.timer, when)
}

// set sets a timer, and has the clock wake for it if it is the first. Locked.
func (s *Scheduler) set(heap uint8, t *timer.Timer, when timer.Time) {
	s.wheel[heap%shards].Set(t, when)
	if !s.dispatching && when < s.asleep {
		s.wakeAt(when)
	}
}

// stop stops a timer. Locked.
func (s *Scheduler) stop(heap uint8, t *timer.Timer) { s.wheel[heap%shards].Stop(t) }

// sleep sets the instant to wake at. Locked.
func (s *Scheduler) sleep() {
	s.asleep = timer.Never
	s.wakeAt(s.wheel.next())
}

// wakeAt has the clock wake at an instant, but not sooner after the last time than
// Apart: what is due in between is taken together. Locked.
func (s *Scheduler) wakeAt(when timer.Time) {
	if when != timer.Never {
		when = max(when, s.woke.Add(s.cfg.Apart))
	}
	if when != s.asleep {
		s.asleep = when
		s.clock.Wake(when)
	}
}

// measure finds out how far the wall clock is from the steady one. Locked.
func (s *Scheduler) measure(now timer.Time) {
	wall := base(int64(InstantOf(s.clock.Wall())) - int64(now))
	s.moved += time.Duration(wall - s.bases.wall)
	s.bases.wall = wall
}

// tooFar is how far the wall clock has to be set back for it to have been wrong
// before: tasks are due by what it shows now, again perhaps. By less, what ran is
// not run again.
const tooFar = 3 * time.Hour

// stepped is what the clock calls when somebody has set the wall clock.
func (s *Scheduler) stepped() {
	s.mu.Lock()
	s.count.Steps++
	s.measure(s.clock.Now())
	moved := s.moved // others may have measured it before this was called
	s.moved = 0
	for _, g := range s.groups {
		for _, t := range g.tasks {
			if t == nil || t.spec.steady || t.next == 0 || !t.timer.Active() {
				continue
			}
			when := s.bases.wall.mono(t.next)
			if moved <= -tooFar && t.spec.Trigger != nil {
				t.flags |= resync
				when = 1
			}
			s.set(t.heap, &t.timer, when)
		}
	}
	s.release()
}
