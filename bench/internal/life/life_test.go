package life

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/timer"
)

func TestPlan(t *testing.T) {
	const n = 1000
	for _, order := range []Order{Random, Arrival} {
		p := NewPlan(n, order)
		for name, list := range map[string][]int32{"heard": p.Heard, "ended": p.Ended} {
			inOrder := slices.IsSorted(list)
			if inOrder != (order == Arrival) {
				t.Errorf("%s: %s is in order: %v", order, name, inOrder)
			}
			list = slices.Sorted(slices.Values(list))
			for i, x := range list {
				if int32(i) != x {
					t.Fatalf("%s: %s has no %d", order, name, i)
				}
			}
		}
		if slices.IsSorted(p.Whens) != (order == Arrival) {
			t.Errorf("%s: instants %v...", order, p.Whens[:5])
		}
		for i, when := range slices.Sorted(slices.Values(p.Whens)) {
			if when != timer.Time(i+1)*p.Step {
				t.Fatalf("%s: %d-th instant %d, want %d", order, i, when, timer.Time(i+1)*p.Step)
			}
		}
		if len(p.Later) != Pushes*n || p.Later[0] <= Minute || !slices.IsSorted(p.Later) {
			t.Errorf("%s: pushed on to %v...", order, p.Later[:5])
		}
		if p.Soon(p.Step) != (n+1)*Spread || p.Soon(Minute) != 2*n*Spread {
			t.Errorf("a minute is %v", p.Soon(Minute))
		}
	}
}

func TestEachStructureLives(t *testing.T) {
	for name, made := range Structures {
		for _, order := range []Order{Random, Arrival} {
			f, err := Job{N: 3000, Order: order, Enough: 1}.Run(made)
			if err != nil {
				t.Errorf("%s, %s: %v", name, order, err)
			}
			if f.Lives != 1 || f.Bytes < 16 || (name == "std") != (f.Embedded == 0) {
				t.Errorf("%s, %s: %+v", name, order, f)
			}
			if name == "heap" && (f.Embedded > 32 || f.SetAllocs > 0.1) {
				t.Errorf("%s, %s: %+v: more than is promised", name, order, f)
			}
		}
		if f, err := (Job{N: 100, Order: Random, Once: true}).Run(made); err != nil || f.Lives != 1 {
			t.Errorf("%s, once: %+v, %v", name, f, err)
		}
	}
}

// liar is a heap that forgets a timer, or fires two in the wrong order.
type liar struct {
	*ours
	forgets, swaps bool
}

func (l liar) PushOn(now timer.Time) {
	l.ours.PushOn(now)
	if l.forgets {
		l.h.Stop(&l.ts[7])
	}
}

func (l liar) ComeUp(now timer.Time) (int, int) {
	if l.swaps {
		l.Whens[3], l.Whens[4] = l.Whens[4]+1, l.Whens[3]-1
	}
	return l.ours.ComeUp(now)
}

func TestLiarsAreFound(t *testing.T) {
	for says, make := range map[string]func(*Plan) Structure{
		"of 100 timers 99 were set":                      func(p *Plan) Structure { return liar{newOurs(p).(*ours), true, false} },
		"of 100 timers 100 fired, 2 of them not in turn": func(p *Plan) Structure { return liar{newOurs(p).(*ours), false, true} },
	} {
		_, err := Job{N: 100, Order: Random, Enough: 1}.Run(make)
		if !errors.Is(err, ErrWrong) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

func TestPairs(t *testing.T) {
	for _, subject := range []string{"std", "clock"} {
		for _, underWay := range []bool{false, true} {
			p, err := MeasurePairs(subject, PairJob{Pending: 1000, Goroutines: 3, UnderWay: underWay, Window: 5 * time.Millisecond})
			if err != nil || p.Count == 0 || p.Each <= 0 || p.Allocs <= 0 {
				t.Errorf("%s, under way %v: %+v, %v", subject, underWay, p, err)
			}
		}
	}
}

// broken is a timer that was never set.
type broken struct{}

func (broken) Stop() bool { return false }

func TestTimersThatAreNotSetAreFound(t *testing.T) {
	for _, underWay := range []bool{false, true} {
		_, err := measurePairs(PairJob{Pending: 10, Goroutines: 1, UnderWay: underWay, Window: time.Millisecond},
			func(time.Duration, func()) broken { return broken{} })
		if !errors.Is(err, ErrWrong) {
			t.Errorf("under way %v: %v", underWay, err)
		}
	}
}
