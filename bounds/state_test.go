package bounds

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/timer"
)

func defaultMachine() machine {
	var r Rules
	r.setDefaults(0, 0)
	return newMachine(r)
}

// TestMachine: loads, each held for a while, and the states that come of them
// with the seconds at which they do.
func TestMachine(t *testing.T) {
	type phase struct {
		seconds float64
		load    float64
	}
	for _, test := range []struct {
		name   string
		phases []phase
		want   string
	}{
		{"below everything", []phase{{100, 0.84}}, ""},
		{"a second at 85 %", []phase{{2, 0.85}}, "1.0 shed"},
		{"not quite a second", []phase{{0.9, 0.89}, {0.1, 0.84}, {0.9, 0.89}, {5, 0}}, ""},
		{"90 % at once", []phase{{1, 0.90}}, "0.0 critical"},
		{"97 % at once", []phase{{1, 0.97}}, "0.0 hard"},
		{"up in steps", []phase{{2, 0.86}, {1, 0.91}, {1, 1}}, "1.0 shed, 2.0 critical, 3.0 hard"},
		{"down in steps", []phase{{1, 1}, {40, 0}}, "0.0 hard, 11.0 critical, 21.0 shed, 26.0 normal"},
		{"stays between the marks", []phase{{2, 0.86}, {100, 0.75}}, "1.0 shed"},
		{"the calm is counted anew", []phase{{2, 0.86}, {4.9, 0.1}, {0.1, 0.75}, {6, 0.1}}, "1.0 shed, 12.0 normal"},
		{"as far down as the load lets it", []phase{{1, 1}, {30, 0.85}}, "0.0 hard, 11.0 critical"},
		{"up again on the way down", []phase{{1, 1}, {12, 0.1}, {1, 0.97}, {1, 0.1}}, "0.0 hard, 11.0 critical, 13.0 hard"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := defaultMachine()
			var got []string
			began := timer.Time(1)
			now := began
			for _, p := range test.phases {
				for end := now.Add(time.Duration(p.seconds * float64(time.Second))); now < end; now = now.Add(100 * time.Millisecond) {
					if m.step(sample{now: now, load: p.load, peak: p.load}) {
						got = append(got, fmt.Sprintf("%.1f %s", now.Sub(began).Seconds(), m.state))
					}
				}
			}
			if all := strings.Join(got, ", "); all != test.want {
				t.Errorf("%s, want %s", all, test.want)
			}
		})
	}
}

// TestPeakBreaksCalm, though nobody saw it when it was there; and so does
// finding none.
func TestPeakBreaksCalm(t *testing.T) {
	for _, broken := range []sample{{load: 0.1, peak: 0.95}, {load: 0.1, peak: 0.1, out: true}} {
		m := defaultMachine()
		m.step(sample{now: 1, load: 1, peak: 1})
		step := func(s sample, at time.Duration) bool { s.now = timer.Time(1).Add(at); return m.step(s) }
		step(sample{load: 0.1, peak: 0.1}, time.Second)
		step(broken, 10*time.Second)
		step(sample{load: 0.1, peak: 0.1}, 10*time.Second+1)
		if step(sample{load: 0.1, peak: 0.1}, 20*time.Second) {
			t.Errorf("%+v: not calm for ten seconds", broken)
		}
		if !step(sample{load: 0.1, peak: 0.1}, 21*time.Second) {
			t.Errorf("%+v: never calm", broken)
		}
	}
}

// trace is a load that wanders, with jumps.
func trace(r *rand.Rand, n int) []sample {
	all := make([]sample, n)
	now, load := timer.Time(1), r.Float64()
	for i := range all {
		now = now.Add(time.Duration(r.Int64N(int64(3 * time.Second))))
		switch r.IntN(8) {
		case 0:
			load = r.Float64() * 1.1
		case 1: // stays
		default:
			load = max(0, load+(r.Float64()-0.5)*0.1)
		}
		all[i] = sample{now: now, load: load, peak: load + r.Float64()*0.05*float64(r.IntN(2)), out: r.IntN(50) == 0}
	}
	return all
}

// TestAnyLoad: whatever the loads are, the state goes down one at a time and not
// before its calm was over, goes up at most three times in between, is the worst
// that the load calls for at once, and is Normal when the load has gone.
func TestAnyLoad(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		m := defaultMachine()
		var last timer.Time
		ups, lastBusy := 0, timer.Time(0)
		all := trace(r, 300)
		for _, s := range all {
			from := m.state
			if m.state > Normal && (max(s.load, s.peak) >= m.rules[m.state].Leave || s.out) {
				lastBusy = s.now
			}
			changed := m.step(s)
			if changed != (m.state != from) {
				t.Fatalf("says %v: %s to %s", changed, from, m.state)
			}
			if (s.load >= 0.97 || s.out) && m.state != Hard || s.load >= 0.9 && m.state < Critical {
				t.Fatalf("%s at %+v", m.state, s)
			}
			switch {
			case m.state > from:
				last = s.now
				if ups++; ups > 3 {
					t.Fatalf("%d times up without a way down", ups)
				}
			case m.state < from:
				calm := m.rules[from].Calm
				if m.state != from-1 || s.now.Sub(last) < calm || s.now.Sub(lastBusy) < calm {
					t.Fatalf("%s to %s, %v after the change before and %v after it was busy", from, m.state, s.now.Sub(last), s.now.Sub(lastBusy))
				}
				last, ups = s.now, 0
			}
		}
		now := all[len(all)-1].now
		for range 3 * 11 { // each of three states is left within its ten seconds and a step
			now = now.Add(time.Second)
			m.step(sample{now: now})
		}
		if m.state != Normal || m.back(now) != 0 {
			t.Fatalf("%s at the end, %v to go", m.state, m.back(now))
		}
	}
}

// TestMoreLoadIsNeverBetter: of two loads of which one is never below the other,
// it has the state that is never better.
func TestMoreLoadIsNeverBetter(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		less, more := defaultMachine(), defaultMachine()
		for _, s := range trace(r, 300) {
			less.step(s)
			s.load += r.Float64() * 0.1 * float64(r.IntN(2))
			s.peak = max(s.peak, s.load)
			s.out = s.out || r.IntN(200) == 0
			more.step(s)
			if more.state < less.state {
				t.Fatalf("%s with more, %s with less, at %+v", more.state, less.state, s)
			}
		}
	}
}

// TestBack: it is as long as was said, when the load has gone.
func TestBack(t *testing.T) {
	m := defaultMachine()
	m.step(sample{now: 1, load: 1, peak: 1})
	now := timer.Time(1).Add(time.Second)
	m.step(sample{now: now})
	end := now.Add(m.back(now))
	if end.Sub(now) != 25*time.Second {
		t.Fatalf("%v to go", end.Sub(now))
	}
	for m.state != Normal {
		now = now.Add(time.Second)
		m.step(sample{now: now})
		if d := now.Add(m.back(now)).Sub(end); d != 0 {
			t.Fatalf("%s: %v later than was said", m.state, d)
		}
	}
}

func TestRulesMustAgree(t *testing.T) {
	good := Rules{Rule{Enter: 0.5, Leave: 0.4}, Rule{Enter: 0.6, Leave: 0.5}, Rule{Enter: 0.7, Leave: 0.6}}
	if _, err := newBounds(Config{Rules: good}, sources{(&kernel{soft: 100}).limit, nil, timer.Now}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		says  string
		spoil func(*Rules)
	}{
		{".Shed.Enter is 0.3, and has to be above its Leave, 0.4", func(r *Rules) { r.Shed.Enter = 0.3 }},
		{".Hard.Enter is 0.7, and has to be above its Leave, 0.7", func(r *Rules) { r.Hard.Leave = 0.7 }},
		{".Shed.Leave is 0, and has to be above 0", func(r *Rules) { r.Shed.Leave = 0 }},
		{".Shed.Leave is NaN, and has to be above 0", func(r *Rules) { r.Shed.Leave = math.NaN() }},
		{".Critical.Enter is 0.45, and has to be 0.5 at least, as ", func(r *Rules) { r.Critical.Enter = 0.45; r.Critical.Leave = 0.44 }},
		{".Critical.Leave is 0.39, and has to be 0.4 at least, as ", func(r *Rules) { r.Critical.Leave = 0.39 }},
		{".Critical.After is -1s, and has to be 0 at least", func(r *Rules) { r.Critical.After = -time.Second }},
		{".Hard.Calm is -1ns, and has to be 0 at least", func(r *Rules) { r.Hard.Calm = -1 }},
		{".Critical.Enter is 0.9, and has to be 0.95 at least, as ", func(r *Rules) { *r = Rules{Shed: Rule{Enter: 0.95, Leave: 0.5}} }},
	} {
		r := good
		c.spoil(&r)
		for field, cfg := range map[string]Config{"Rules": {Rules: r}, "Loads": {Loads: r}} {
			if _, err := New(cfg); !errors.Is(err, ErrRules) || !strings.Contains(err.Error(), ": "+field+c.says) {
				t.Errorf("%v, want %s%s", err, field, c.says)
			}
		}
	}
}

// TestRulesOfTheirOwn: a state that nothing is said about has its default, also
// beside one that has rules of its own.
func TestRulesOfTheirOwn(t *testing.T) {
	mine := Rule{Enter: 0.5, After: time.Minute, Leave: 0.4}
	for _, c := range []struct {
		have func(*Rules) *Rule
		want Rules
	}{
		{func(r *Rules) *Rule { return &r.Shed }, Rules{Shed: mine}},
		{func(r *Rules) *Rule { return &r.Hard }, Rules{Hard: Rule{Enter: 2, Leave: 1.5}}},
	} {
		var all, r Rules
		all.setDefaults(time.Second, time.Minute)
		r = c.want
		r.setDefaults(time.Second, time.Minute)
		*c.have(&all) = *c.have(&c.want)
		if r != all {
			t.Errorf("%+v, want %+v", r, all)
		}
		b, err := newBounds(Config{Rules: c.want, Loads: c.want}, sources{(&kernel{soft: 100}).limit, nil, timer.Now})
		if err != nil {
			t.Errorf("%+v: %v", c.want, err)
			continue
		}
		if b.cfg.Rules.Critical.After != 0 || b.cfg.Loads.Critical.After != 2*time.Second {
			t.Errorf("%+v, %+v", b.cfg.Rules, b.cfg.Loads)
		}
	}
}
