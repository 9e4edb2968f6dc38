// Package life puts structures that hold timers through one and the same life and says what it cost.
//
//	others   half as many timers are set that stay: the structure is never empty
//	set      each timer, to an instant within a minute                          ┐
//	push on  each of them three times, to a later instant, as messages do       │ again and again,
//	stop     each                                                               │ a minute later each time
//	fire     set each again; they come up one after the other, each on its own  ┘
//
// The cost is processor time, not time on the wall: what another process does meanwhile is not in it, and what a
// structure leaves to other goroutines and to the collector is. The benchmarks of package timer have the same pattern.
package life

import (
	"math/rand/v2"
	"time"

	"github.com/weir-go/weir/timer"
)

// Order is the access pattern of a plan.
type Order string

const (
	// Random is random in memory and in time: each timer has an instant of its own within the minute, is pushed on as
	// messages arrive, from everywhere, and is stopped when its turn comes. No prefetcher knows the next one.
	Random Order = "random"

	// Arrival is the order of arrival throughout: timers lie in memory in the order of their instants, as with
	// connections that were accepted one after the other and have the same patience, and are pushed on and stopped in
	// that order.
	Arrival Order = "arrival"
)

// Pushes is how often each timer is pushed on in a life.
const Pushes = 3

// Minute is how far ahead timers are set.
const Minute = timer.Time(time.Minute)

// Far is where the timers of others are, and those of the runtime while they must not fire.
const Far = time.Hour

// A Plan is what every structure is put through, and in which order. Timers are known by their number, which is also
// their order in memory where a structure leaves them where they are.
type Plan struct {
	N     int          // timers that live and die; half as many others stay set
	Step  timer.Time   // distance of two instants
	Whens []timer.Time // for each timer, up to a minute ahead: 1, 2, ... N steps in some order
	Later []timer.Time // one instant a push, ever later ones
	Heard []int32      // whom a message is for: the order in which timers are pushed on
	Ended []int32      // the order in which they are stopped
}

// Lines are a plan's orders as pointers to timers, as events carry them.
type Lines[T any] struct {
	Heard, Ended []*T
}

// Line makes the lines of p, whose i-th timer is at(i). It uses the lists of before again.
func (l *Lines[T]) Line(p *Plan, at func(i int32) *T) {
	if l.Heard == nil {
		l.Heard, l.Ended = make([]*T, p.N), make([]*T, p.N)
	}
	for i := range p.N {
		l.Heard[i], l.Ended[i] = at(p.Heard[i]), at(p.Ended[i])
	}
}

// NewPlan makes the plan for n timers.
func NewPlan(n int, o Order) *Plan {
	p := &Plan{N: n, Step: Minute / timer.Time(n), Whens: make([]timer.Time, n), Later: make([]timer.Time, Pushes*n),
		Heard: numbers(n, o, 2), Ended: numbers(n, o, 3)}
	for i, at := range numbers(n, o, 1) {
		p.Whens[i] = timer.Time(at+1) * p.Step
	}
	for i := range p.Later { // as time goes on while messages come
		p.Later[i] = Minute + timer.Time(i+1)*p.Step
	}
	return p
}

// All is how many timers there are, with those that stay.
func (p *Plan) All() int { return p.N + p.N/2 }

// Spread is the distance of two instants at which timers come up that go by the real clock, one after the other.
const Spread = time.Microsecond

// Soon is how long after it is set such a timer comes up in the place of one that is due at when: the first of them
// when all are set, if that takes no longer than Spread for each.
func (p *Plan) Soon(when timer.Time) time.Duration {
	return time.Duration(timer.Time(p.N)+when/p.Step) * Spread
}

// numbers are those below n, in memory's order or shuffled.
func numbers(n int, o Order, seed uint64) []int32 {
	list := make([]int32, n)
	for i := range list {
		list[i] = int32(i)
	}
	if o == Random {
		r := rand.New(rand.NewPCG(seed, 0))
		r.Shuffle(n, func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	return list
}
