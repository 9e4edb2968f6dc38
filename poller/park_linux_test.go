package poller

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// bounded ends a test whose Wait is never told. Close could not: it would be told
// in the same way.
func bounded(t *testing.T) {
	alarm := time.AfterFunc(2*patience, func() { panic(t.Name() + ": a Wait does not end") })
	t.Cleanup(func() { alarm.Stop() })
}

// What was asked of an earlier Wait, that something else ended, does not keep a
// later one from its end, however far away that was.
func TestParkedWaitAfterALongerOne(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		bounded(t)
		var evs [1]Event
		for _, longer := range []time.Duration{time.Hour, math.MaxInt64, -1} {
			ok(t, p.Wake())
			if n, err := p.Wait(evs[:], longer); n != 0 || err != nil {
				t.Fatalf("Wait(%v) = %d, %v", longer, n, err)
			}
			if n, err := p.Wait(evs[:], 5*time.Millisecond); n != 0 || err != nil {
				t.Fatalf("the Wait after Wait(%v) = %d, %v", longer, n, err)
			}
		}
	})
}

// Whenever parking is turned on and off, each edge and each Wake is told: the
// peer does one thing after the other, each when the one before was heard.
func TestParkingIsTurnedOnAndOff(t *testing.T) {
	for name, stays := range map[string]bool{"out": false, "masked": true} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, p *Poller) {
				ok(t, p.Park(true))
				p.kernel.park.stays = stays
				turnOnAndOff(t, p)
			})
		})
	}
}

func turnOnAndOff(t *testing.T, p *Poller) {
	const rounds = 1500
	bounded(t)
	s := newPair(t)
	ok(t, p.Add(s.ours, MakeToken(1, 1)))
	heard, over := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { <-over })
	defer close(heard)
	go func() {
		defer close(over)
		for range heard {
			if rand.IntN(2) == 0 {
				s.say(s.theirs, "x")
			} else if err := p.Wake(); err != nil {
				t.Error(err)
			}
		}
	}()
	var evs [1]Event
	n, err := p.Wait(evs[:], -1) // it can be written to
	for range rounds {
		if err != nil || n > 1 {
			t.Fatal(n, err)
		}
		heard <- struct{}{}
		for told := false; !told; {
			if rand.IntN(2) == 0 {
				ok(t, p.Park(rand.IntN(2) == 0))
			}
			wakes := p.Stats().Wakes
			n, err = p.Wait(evs[:], []time.Duration{-1, 0, time.Hour, 5 * time.Millisecond}[rand.IntN(4)])
			ok(t, err)
			told = p.Stats().Wakes > wakes || n == 1 && s.hear(s.ours) == "x"
		}
	}
}
