package sched

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func pace(t testing.TB, cfg PaceConfig) *Pace {
	t.Helper()
	p, err := NewPace(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A plant is what load is made in: a queue with a server behind it, which jobs
// of the pace put work into, or take it out.
type plant struct {
	pace   *Pace
	now    time.Time
	next   time.Time // the job's
	depth  float64
	jobs   float64 // work that the job adds each time, or takes away
	other  func(seconds float64) float64
	serve  float64 // a second
	quiet  bool    // no samples come
	widths []time.Duration
}

// second lets one pass.
func (p *plant) second() {
	p.now = p.now.Add(time.Second)
	for !p.next.After(p.now) {
		p.depth = max(0, p.depth+p.jobs)
		p.next = p.pace.Next(p.next)
	}
	rate := p.other(p.now.Sub(t0).Seconds())
	p.depth = max(0, p.depth+rate-p.serve)
	if !p.quiet {
		p.pace.Sample(p.now, Load{Rate: rate, Depth: int(p.depth), P99: time.Duration(p.depth / p.serve * float64(time.Second) / 10)})
	}
	p.widths = append(p.widths, p.pace.Width(p.now))
}

func newPlant(t *testing.T, cfg PaceConfig, jobs float64) *plant {
	return &plant{pace: pace(t, cfg), now: t0, next: t0, jobs: jobs, serve: 1000,
		other: func(float64) float64 { return 500 }}
}

func (p *plant) seconds(n int) {
	for range n {
		p.second()
	}
}

// holds checks what holds whatever the load is.
func (p *plant) holds(t *testing.T) {
	t.Helper()
	base := p.pace.cfg.Base
	last := base
	for i, w := range p.widths {
		if w <= 0 || w < base/4-1 || w > time.Duration(float64(base)*p.pace.cfg.Most)+1 {
			t.Fatalf("second %d: window %v", i, w)
		}
		rounded := 1/float64(w) + 1/float64(last) // to nanoseconds, of which a short window has few
		if r := math.Abs(math.Log(float64(w) / float64(last))); r > math.Log(stepRatio)+rounded {
			t.Fatalf("second %d: from %v to %v", i, last, w)
		}
		last = w
	}
}

// reversals counts how often the window turned round, by a tenth or more.
func (p *plant) reversals() (n int) {
	extreme, up := p.widths[0], true // how far it went this way
	for _, w := range p.widths {
		switch ratio := float64(w) / float64(extreme); {
		case up && ratio > 1, !up && ratio < 1:
			extreme = w
		case up && ratio < 1/1.1, !up && ratio > 1.1:
			extreme, up = w, !up
			n++
		}
	}
	return n
}

func (p *plant) width() time.Duration { return p.widths[len(p.widths)-1] }

func TestPaceStaysAtBase(t *testing.T) {
	p := newPlant(t, PaceConfig{Base: 5 * time.Second}, 100)
	p.seconds(3600)
	for i, w := range p.widths {
		if w != 5*time.Second {
			t.Fatalf("second %d: window %v without load", i, w)
		}
	}
}

// TestPaceStep: a load that comes and stays is met within ten windows, with the
// window turning round no more than twice; and when it has gone the window is
// back after ten.
func TestPaceStep(t *testing.T) {
	p := newPlant(t, PaceConfig{Base: time.Second}, 400) // 500 + 400 of 1000
	p.seconds(60)
	p.other = func(float64) float64 { return 800 } // 1200 of 1000: it fits with windows of 2 s
	p.seconds(600)
	p.holds(t)
	if w := p.width(); w < 3*time.Second/2 || w > 5*time.Second {
		t.Errorf("under load: %v", w)
	}
	if n := p.reversals(); n > 0 {
		t.Errorf("turned round %d times: %v", n, p.widths[60:])
	}
	if p.depth > 4*5000 {
		t.Errorf("%v wait", p.depth)
	}
	p.other = func(float64) float64 { return 300 }
	for i := 0; p.depth > 0; i++ {
		if p.second(); i > 600 {
			t.Fatal("the queue does not empty")
		}
	}
	p.seconds(int(10*p.width()/time.Second) + 15)
	p.holds(t)
	if w := p.width(); w != time.Second {
		t.Errorf("the load is gone, and the window %v", w)
	}
}

// TestPaceSettles within ten windows when the load jumps, up and down.
func TestPaceSettles(t *testing.T) {
	const base = 10 * time.Second
	p := pace(t, PaceConfig{Base: base, Jitter: -1})
	now, due := t0, p.Next(t0)
	settle := func(l Load, want time.Duration) (windows int) {
		for ; ; windows++ {
			for ; now.Before(due); now = now.Add(time.Second) {
				p.Sample(now, l)
			}
			if w := p.Width(now); w.Seconds()/want.Seconds() < band && want.Seconds()/w.Seconds() < band {
				return windows
			}
			if windows > 100 {
				t.Fatalf("at %v, not at %v", p.Width(now), want)
			}
			due = p.Next(due)
		}
	}
	for range 3 {
		if n := settle(Load{P99: 12 * time.Second}, 5*base); n > 10 {
			t.Errorf("%d windows to the longest", n)
		}
		if n := settle(Load{}, base); n > 10 {
			t.Errorf("%d windows back", n)
		}
	}
}

// TestPaceLengthens, and never shortens, for a job that adds load.
func TestPaceLengthens(t *testing.T) {
	for name, load := range map[string]Load{
		"depth": {Rate: 10, Depth: 20_000}, "p99": {Rate: 10, P99: 9 * time.Second}, "rate": {Rate: 100},
	} {
		p := pace(t, PaceConfig{Base: 10 * time.Second, LeastRate: 10})
		now, last := t0, 10*time.Second
		for range 600 {
			now = now.Add(time.Second)
			p.Sample(now, load)
			w := p.Width(now)
			if w < last && name != "rate" { // the average of half an hour catches up with it
				t.Fatalf("%s: from %v to %v", name, last, w)
			}
			last = w
		}
		if name != "rate" && last < 30*time.Second {
			t.Errorf("%s: %v", name, last)
		}
	}
}

// TestPaceRateIsItsOwnMeasure: three times as many requests as in the last half
// hour lengthen the window, and after some hours they are what is usual.
func TestPaceRateIsItsOwnMeasure(t *testing.T) {
	p := newPlant(t, PaceConfig{Base: 10 * time.Second}, 0)
	p.serve = 1e6
	p.seconds(3600)
	p.other = func(float64) float64 { return 1500 }
	p.seconds(200)
	if w := p.width(); w < 15*time.Second {
		t.Errorf("after 200 s: %v", w)
	}
	p.seconds(4 * 3600)
	p.holds(t)
	if w := p.width(); w != 10*time.Second {
		t.Errorf("after hours: %v", w)
	}
}

// TestPaceDrainer: it shortens with a full queue, unless what it works against
// is slow; and is back at its base afterwards.
func TestPaceDrainer(t *testing.T) {
	p := newPlant(t, PaceConfig{Base: 10 * time.Second, Drainer: true}, 0)
	sample := func(n int, l Load) time.Duration {
		for range n {
			p.now = p.now.Add(time.Second)
			p.pace.Sample(p.now, l)
			p.widths = append(p.widths, p.pace.Width(p.now))
		}
		return p.width()
	}
	if w := sample(200, Load{Depth: 50_000}); w < 6*time.Second || w > 65*time.Second/10 {
		t.Errorf("a full queue: %v", w)
	}
	if w := sample(300, Load{Depth: 50_000, P99: 6 * time.Second}); w < 25*time.Second {
		t.Errorf("a full queue, and what is behind it slow: %v", w)
	}
	if w := sample(600, Load{}); w != 10*time.Second {
		t.Errorf("nothing to do: %v", w)
	}
	p.holds(t)
}

// TestPaceForgets: without samples the window goes back to its base, from both
// sides, after its own length.
func TestPaceForgets(t *testing.T) {
	for _, drainer := range []bool{false, true} {
		p := newPlant(t, PaceConfig{Base: 2 * time.Second, Drainer: drainer}, 0)
		p.depth, p.serve = 40_000, 500
		if drainer {
			p.serve = 1e9 // and so no P99
			p.other = func(float64) float64 { return 1e9 }
		}
		p.seconds(120)
		loaded := p.width()
		if (loaded > 2*time.Second) == drainer || loaded == 2*time.Second {
			t.Fatalf("loaded: %v", loaded)
		}
		p.quiet = true
		p.seconds(int((stale + loaded) / time.Second))
		if w := p.width(); w != loaded {
			t.Errorf("held for %v, and is %v", loaded, w)
		}
		p.seconds(1 + 10*int(max(loaded, time.Second)/time.Second))
		p.holds(t)
		if w := p.width(); w != 2*time.Second {
			t.Errorf("stuck at %v", w)
		}
		if w := p.pace.Width(p.now.Add(-time.Hour)); w != 2*time.Second {
			t.Errorf("the clock was set back, and the window %v", w)
		}
	}
}

// TestPaceNeedsMoreThanOneSample: a single outlier moves nothing.
func TestPaceNeedsMoreThanOneSample(t *testing.T) {
	p := pace(t, PaceConfig{Base: 2 * time.Second})
	now := t0
	for i := range 600 {
		now = now.Add(time.Second)
		l := Load{Rate: 100, Depth: 10}
		if i%20 == 19 {
			l.Depth = 8000
		}
		p.Sample(now, l)
		if w := p.Width(now); w != 2*time.Second {
			t.Fatalf("sample %d: %v", i, w)
		}
	}
}

// TestPaceOddities: windows are not shorter than 50 ms where the base is not, nor
// than twice the job's lateness, and what is no number is no sample.
func TestPaceOddities(t *testing.T) {
	sample := func(p *Pace, l Load) time.Duration {
		now := t0
		for range 100 {
			now = now.Add(time.Second)
			p.Sample(now, Load{Rate: math.NaN(), Depth: 1 << 40})
			p.Sample(now, l)
		}
		return p.Width(now)
	}
	for _, test := range []struct {
		what string
		cfg  PaceConfig
		load Load
		want time.Duration
	}{
		{"no sample", PaceConfig{Base: time.Second}, Load{Rate: 10}, time.Second},
		{"short", PaceConfig{Base: 60 * time.Millisecond, Drainer: true}, Load{Depth: 10_000}, 50 * time.Millisecond},
		{"shorter still", PaceConfig{Base: 40 * time.Millisecond, Drainer: true}, Load{Depth: 10_000}, 40 * time.Millisecond},
		{"late", PaceConfig{Base: time.Second}, Load{Skew: time.Second}, 2 * time.Second},
		{"very late", PaceConfig{Base: time.Second}, Load{Skew: math.MaxInt64}, 5 * time.Second},
		{"slow, but no more than said", PaceConfig{Base: time.Second, Most: 2}, Load{P99: time.Hour}, 2 * time.Second},
	} {
		if got := sample(pace(t, test.cfg), test.load).Round(time.Microsecond); got != test.want {
			t.Errorf("%s: %v, want %v", test.what, got, test.want)
		}
	}
}

// TestPaceUnderAnything: whatever is sampled, the window is within its bounds,
// changes smoothly, and is at its base some time after the load.
func TestPaceUnderAnything(t *testing.T) {
	for round := range 200 {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 5))
		cfg := PaceConfig{Base: time.Duration(r.Int64N(int64(20*time.Second))) + 1, Drainer: r.IntN(2) == 0}
		p := newPlant(t, cfg, float64(r.IntN(1000)))
		kind := round % 4
		p.other = func(s float64) float64 {
			switch kind {
			case 0: // a ramp
				return s
			case 1: // a sine
				return 800 + 700*math.Sin(s/float64(10+seed%600))
			case 2: // noise
				return 3000 * r.Float64()
			}
			return math.NaN()
		}
		for range 20 {
			p.quiet = r.IntN(4) == 0
			p.seconds(r.IntN(60))
			if r.IntN(5) == 0 {
				p.pace.Sample(p.now, Load{Rate: math.Inf(1), Depth: -1, P99: -1, Skew: math.MaxInt64})
			}
		}
		func() {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d: %+v, kind %d", seed, cfg, kind)
				}
			}()
			p.holds(t)
			p.quiet, p.depth, p.jobs = false, 0, 0
			p.other = func(float64) float64 { return 0 }
			p.seconds(30 + 15*int(max(time.Second, 5*cfg.Base)/time.Second))
			p.holds(t)
			if w := p.width(); w != cfg.Base {
				t.Errorf("stuck at %v, base %v", w, cfg.Base)
			}
		}()
	}
}

func TestPaceIsATrigger(t *testing.T) {
	p := pace(t, PaceConfig{Base: time.Second, Jitter: 0.25, Seed: "a"})
	q := pace(t, PaceConfig{Base: time.Second, Jitter: -1})
	at, other := t0, map[time.Duration]bool{}
	for range 1000 {
		next := p.Next(at)
		d := next.Sub(at)
		if d < 750*time.Millisecond || d > 1250*time.Millisecond {
			t.Fatal(d)
		}
		other[d] = true
		at = next
	}
	if len(other) < 900 {
		t.Errorf("%d different windows of 1000", len(other))
	}
	if next := q.Next(t0); next.Sub(t0) != time.Second {
		t.Error(next)
	}
	if n, last, _ := Count(q, t0, t0.Add(time.Hour+1), 1); n != 3600 || !last.Equal(t0.Add(time.Hour)) {
		t.Error(n, last)
	}
}

func TestNewPaceRefuses(t *testing.T) {
	for _, cfg := range []PaceConfig{{}, {Base: -1}, {Base: 1, Most: 5.5}, {Base: 1, Most: 0.5}, {Base: 1, Most: math.NaN()},
		{Base: 1, Jitter: 0.5}, {Base: 1, Jitter: math.NaN()}, {Base: 1, FullDepth: -1}, {Base: 1, SlowP99: -1},
		{Base: 1, LeastRate: -1}, {Base: 1, LeastRate: math.Inf(1)}} {
		if _, err := NewPace(cfg); !errors.Is(err, ErrTrigger) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func ExamplePace() {
	// A job that reads on from where it was, each 10 s, but not while the
	// database is slow.
	p, err := NewPace(PaceConfig{Base: 10 * time.Second, SlowP99: 500 * time.Millisecond, Jitter: -1})
	if err != nil {
		panic(err)
	}
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	for second := range 180 {
		p99 := 20 * time.Millisecond
		if second >= 60 && second < 120 {
			p99 = 2 * time.Second
		}
		now = now.Add(time.Second)
		p.Sample(now, Load{P99: p99})
		if second%30 == 29 {
			fmt.Println(p.Width(now).Round(100 * time.Millisecond))
		}
	}
	// Output:
	// 10s
	// 10s
	// 17.3s
	// 20.7s
	// 14.4s
	// 10s
}
