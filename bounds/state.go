package bounds

import (
	"errors"
	"fmt"
	"time"

	"github.com/weir-go/weir/timer"
)

// State is how short a resource is. The package's comment draws them.
type State uint8

const (
	Normal State = iota
	Shed
	Critical
	Hard
)

// States is how many there are.
const States = int(Hard) + 1

// String returns the name in lower case.
func (s State) String() string {
	switch s {
	case Normal:
		return "normal"
	case Shed:
		return "shed"
	case Critical:
		return "critical"
	}
	return "hard"
}

// Rule says when a state is entered and when it is left. A load is what is in
// use of what there is: 1 when nothing is left.
type Rule struct {
	Enter float64       // by a load that is not below this
	After time.Duration // for so long without a break. 0: at once
	Leave float64       // by a load below this
	Calm  time.Duration // for so long without a break, the state having lasted as long. 0: at once
}

// Rules are those of the three states that are not Normal. A Rule that is zero is
// the default, which is said where Rules are used; one that is not is taken whole, with
// its After and Calm. All three have to agree with each other, defaults too: who moves
// one may have to move others.
type Rules struct{ Shed, Critical, Hard Rule }

// ErrRules is what New answers when a state's Enter is not above its Leave, or when
// a worse state is entered or left at a lower load. It is wrapped in what says which
// value is wrong, such as Loads.Shed.Leave, and what it has to be.
var ErrRules = errors.New("bounds: the rules of the states contradict each other")

// setDefaults is told how long Critical and Hard take.
func (r *Rules) setDefaults(critical, hard time.Duration) {
	for rule, unset := range map[*Rule]Rule{
		&r.Shed:     {Enter: 0.85, After: time.Second, Leave: 0.75, Calm: 5 * time.Second},
		&r.Critical: {Enter: 0.90, After: critical, Leave: 0.80, Calm: 10 * time.Second},
		&r.Hard:     {Enter: 0.97, After: hard, Leave: 0.90, Calm: 10 * time.Second},
	} {
		if *rule == (Rule{}) {
			*rule = unset
		}
	}
}

// check names the rules' field of Config in its error.
func (r *Rules) check(field string) error {
	least, better := Rule{}, ""
	for _, s := range []struct {
		name string
		Rule
	}{{"Shed", r.Shed}, {"Critical", r.Critical}, {"Hard", r.Hard}} {
		name := field + "." + s.name
		if why := s.contradicts(name, least, better); why != "" {
			return fmt.Errorf("%w: %s", ErrRules, why)
		}
		least, better = s.Rule, name
	}
	return nil
}

// contradicts says what is wrong with the rule of that name, which is behind that of
// a better state; "": nothing.
func (r Rule) contradicts(name string, least Rule, better string) string {
	switch {
	case !(r.Leave > 0):
		return fmt.Sprintf("%s.Leave is %v, and has to be above 0", name, r.Leave)
	case !(r.Enter > r.Leave):
		return fmt.Sprintf("%s.Enter is %v, and has to be above its Leave, %v", name, r.Enter, r.Leave)
	case !(r.Enter >= least.Enter):
		return fmt.Sprintf("%s.Enter is %v, and has to be %v at least, as %s.Enter", name, r.Enter, least.Enter, better)
	case !(r.Leave >= least.Leave):
		return fmt.Sprintf("%s.Leave is %v, and has to be %v at least, as %s.Leave", name, r.Leave, least.Leave, better)
	case r.After < 0:
		return fmt.Sprintf("%s.After is %v, and has to be 0 at least", name, r.After)
	case r.Calm < 0:
		return fmt.Sprintf("%s.Calm is %v, and has to be 0 at least", name, r.Calm)
	}
	return ""
}

// machine is the state of one resource. It has no clock and no lock.
type machine struct {
	rules [States]Rule // Normal's is not used
	state State
	since timer.Time         // when it came to that; 0: at the beginning
	above [States]timer.Time // since when the load has been enough for each state; 0: it is not
	below timer.Time         // since when the load has been low enough to leave; 0: it is not
}

func newMachine(r Rules) machine {
	return machine{rules: [States]Rule{Shed: r.Shed, Critical: r.Critical, Hard: r.Hard}}
}

// sample is what a machine is told. now does not go back.
type sample struct {
	now  timer.Time
	load float64
	peak float64 // since the sample before; not below load
	out  bool    // somebody asked for one and there was none, since the sample before
}

// step takes the sample in, and reports whether the state has changed.
func (m *machine) step(s sample) (changed bool) {
	for i := Shed; i <= Hard; i++ {
		switch {
		case s.load < m.rules[i].Enter:
			m.above[i] = 0
		case m.above[i] == 0:
			m.above[i] = s.now
		}
	}
	to := m.up(s)
	if to == m.state {
		to = m.down(s)
	}
	if to == m.state {
		return false
	}
	m.state, m.since, m.below = to, s.now, 0
	if m.calm(s) {
		m.below = s.now // the next one down is counted from here
	}
	return true
}

// up returns the worst state that the load has been enough for, if it is worse
// than this one.
func (m *machine) up(s sample) State {
	if s.out {
		return Hard
	}
	for i := Hard; i > m.state; i-- {
		if m.above[i] != 0 && s.now.Sub(m.above[i]) >= m.rules[i].After {
			return i
		}
	}
	return m.state
}

// calm reports whether the load is low enough to leave the state. A peak that
// nobody saw breaks the calm; being told again that there is nothing left does
// too.
func (m *machine) calm(s sample) bool {
	return max(s.load, s.peak) < m.rules[m.state].Leave && !s.out
}

// down returns the state before this one, if that has been calm for its time.
func (m *machine) down(s sample) State {
	if m.state == Normal {
		return Normal
	}
	if !m.calm(s) {
		m.below = 0
		return m.state
	}
	if m.below == 0 {
		m.below = s.now
	}
	if s.now.Sub(m.below) < m.rules[m.state].Calm {
		return m.state
	}
	return m.state - 1
}

// back is how long it takes at least until the state is Normal.
func (m *machine) back(now timer.Time) (d time.Duration) {
	for i := m.state; i > Normal; i-- {
		d += m.rules[i].Calm
	}
	if m.below != 0 {
		d -= now.Sub(m.below)
	}
	return max(d, 0)
}
