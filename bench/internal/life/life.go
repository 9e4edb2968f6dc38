package life

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/weir-go/weir/bench/internal/proc"
	"github.com/weir-go/weir/timer"
)

// A Structure holds the timers of a plan. Each one's loops are written out, so that no call goes through an interface
// or a closure that its user would not have.
type Structure interface {
	// Others sets those that stay.
	Others()

	// Set sets each timer of the plan to now plus its instant, in the order of their numbers.
	Set(now timer.Time)

	// Line makes the lists for PushOn and Stop. It is not measured.
	Line()

	// PushOn moves each timer Pushes times, in the order of Heard.
	PushOn(now timer.Time)

	// Stop stops each timer, in the order of Ended, and returns how many of them were set.
	Stop() int

	// ComeUp sets each timer and lets them fire one after the other. It returns how many did, and how many of these out
	// of the order of their instants or at another instant than theirs, where that can be told.
	ComeUp(now timer.Time) (fired, wrong int)

	// Embedded is how many bytes of a timer are the user's own struct; 0 where the structure allocates timers.
	Embedded() int
}

// Figures are what a life cost. Times are processor nanoseconds an operation.
type Figures struct {
	Set, PushOn, Stop, Fire float64
	SetAllocs, FireAllocs   float64 // allocations a timer
	Bytes                   float64 // of heap for a timer that is set, all together
	Embedded                float64 // of them, in the user's own struct
	Lives                   int     // that the times are of
}

// ErrWrong is a life in which a structure did not do what it was told.
var ErrWrong = errors.New("life: the structure is wrong")

// Measure puts the structure that make makes through lives until these have taken enough processor time, at least one.
// The first is not counted: storage grows in it. With once there is only that one, and it is counted.
func Measure(p *Plan, make func(*Plan) Structure, enough time.Duration, once bool) (Figures, error) {
	before := live()
	l := lives{plan: p, it: make(p), clock: proc.Own}
	if _, ok := proc.Own(); !ok {
		l.clock = wall()
	}
	l.look()
	l.it.Others()
	if err := l.first(before); err != nil {
		return Figures{}, err
	}
	l.figures.Embedded = float64(l.it.Embedded())
	if !once {
		l.spent, l.figures.Lives = [phases]time.Duration{}, 0
	}
	for !once && (l.figures.Lives == 0 || l.total() < enough) {
		if err := l.run(); err != nil {
			return Figures{}, err
		}
	}
	return l.done(), nil
}

// The phases of a life.
const (
	set = iota
	pushOn
	stop
	fire
	phases
)

type lives struct {
	plan    *Plan
	it      Structure
	clock   func() (time.Duration, bool)
	looking time.Duration // what it costs to look at the clock
	now     timer.Time
	spent   [phases]time.Duration
	figures Figures
}

// first is the first life, slower than the others: it also looks at memory.
func (l *lives) first(before uint64) error {
	n := float64(l.plan.N)
	l.figures.SetAllocs = float64(mallocs(func() { l.time(set, func() { l.it.Set(l.now) }) })) / n
	l.figures.Bytes = float64(live()-before) / float64(l.plan.All())
	if err := l.pushAndStop(); err != nil {
		return err
	}
	var err error
	l.figures.FireAllocs = float64(mallocs(func() { err = l.fire() })) / n
	return err
}

func (l *lives) run() error {
	l.time(set, func() { l.it.Set(l.now) })
	if err := l.pushAndStop(); err != nil {
		return err
	}
	return l.fire()
}

func (l *lives) pushAndStop() error {
	var stopped int
	l.it.Line()
	l.time(pushOn, func() { l.it.PushOn(l.now) })
	l.time(stop, func() { stopped = l.it.Stop() })
	if stopped != l.plan.N {
		return fmt.Errorf("%w: of %d timers %d were set when they were stopped", ErrWrong, l.plan.N, stopped)
	}
	return nil
}

// fire ends a life; the next one is a minute later.
func (l *lives) fire() error {
	var fired, wrong int
	l.time(fire, func() { fired, wrong = l.it.ComeUp(l.now) })
	if fired != l.plan.N || wrong != 0 {
		return fmt.Errorf("%w: of %d timers %d fired, %d of them not in turn", ErrWrong, l.plan.N, fired, wrong)
	}
	l.now += Minute
	l.figures.Lives++
	return nil
}

func (l *lives) time(phase int, f func()) {
	begin, _ := l.clock()
	f()
	end, _ := l.clock()
	l.spent[phase] += end - begin - l.looking
}

// look finds out what looking costs, which is something where a phase takes microseconds.
func (l *lives) look() {
	l.looking = time.Second
	for range 100 {
		begin, _ := l.clock()
		end, _ := l.clock()
		l.looking = min(l.looking, end-begin)
	}
}

func (l *lives) total() (sum time.Duration) {
	for _, d := range l.spent {
		sum += d
	}
	return sum
}

func (l *lives) done() Figures {
	each := func(phase, times int) float64 {
		return float64(l.spent[phase]) / float64(l.figures.Lives) / float64(l.plan.N*times)
	}
	f := l.figures
	f.Set, f.PushOn, f.Stop, f.Fire = each(set, 1), each(pushOn, Pushes), each(stop, 1), each(fire, 1)
	return f
}

// wall is the clock of a system that does not tell processor time.
func wall() func() (time.Duration, bool) {
	begin := time.Now()
	return func() (time.Duration, bool) { return time.Since(begin), true }
}

// live is the heap in use, once all garbage is gone.
func live() uint64 {
	var m runtime.MemStats
	runtime.GC() // what the first one found by finalizers and pools goes with the second
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func mallocs(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}
