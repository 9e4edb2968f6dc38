package lateness

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/timer"
)

const ms = time.Millisecond

// came is one tick: which one it is, and when it came.
type came struct {
	n  uint64
	at time.Duration
}

func TestTrack(t *testing.T) {
	const us = time.Microsecond
	for _, c := range []struct {
		name   string
		skip   uint64
		ticks  []came
		late   []time.Duration
		missed uint64
		points uint64
		bad    uint64
	}{
		{name: "on time", ticks: []came{{1, 10 * ms}, {2, 20 * ms}, {3, 30*ms + 5*us}},
			late: []time.Duration{0, 0, 5 * us}, points: 3},
		{name: "late, but before the next", ticks: []came{{1, 19 * ms}, {2, 20 * ms}},
			late: []time.Duration{9 * ms, 0}, points: 2},
		// The runtime keeps the oldest tick: 2 comes when 5 has passed, and 3 to 5 never come.
		{name: "the oldest is kept", ticks: []came{{1, 10 * ms}, {2, 53 * ms}, {6, 60 * ms}},
			late: []time.Duration{0, 33 * ms, 0}, missed: 3, points: 6},
		// weir keeps the newest: 5 takes the place of 2 to 4, and is as late as 2.
		{name: "the newest is kept", ticks: []came{{1, 10 * ms}, {5, 53 * ms}, {6, 60 * ms}},
			late: []time.Duration{0, 33 * ms, 0}, missed: 3, points: 6},
		// 3 was planned before 4 began and came after: 4 still comes, at once.
		{name: "across a point", ticks: []came{{3, 40*ms + us}, {4, 40*ms + 3*us}, {5, 50 * ms}},
			late: []time.Duration{30*ms + us, 3 * us, 0}, missed: 2, points: 5},
		{name: "the warm-up is not counted", skip: 2, ticks: []came{{1, 19 * ms}, {2, 29 * ms}, {3, 31 * ms}},
			late: []time.Duration{ms}, points: 1},
		{name: "a gap out of the warm-up counts what is behind it", skip: 2, ticks: []came{{1, 10 * ms}, {5, 50 * ms}},
			late: []time.Duration{30 * ms}, missed: 2, points: 3},
		{name: "warm-up only", skip: 2, ticks: []came{{1, 10 * ms}}, points: 0},
		{name: "early", ticks: []came{{1, 10*ms - 1}}, late: []time.Duration{-1}, points: 1, bad: 1},
		{name: "twice", ticks: []came{{1, 10 * ms}, {1, 11 * ms}}, late: []time.Duration{0, ms}, points: 1, bad: 1},
	} {
		tr := NewTrack(10*ms, c.skip, 10)
		for _, tick := range c.ticks {
			tr.Tick(tick.n, tick.at)
		}
		if !slices.Equal(tr.Late, c.late) || tr.Missed != c.missed || tr.Points() != c.points || tr.Bad != c.bad {
			t.Errorf("%s: late %v, missed %d of %d, bad %d; want %v, %d of %d, %d",
				c.name, tr.Late, tr.Missed, tr.Points(), tr.Bad, c.late, c.missed, c.points, c.bad)
		}
	}
}

// Whatever comes: each point had a tick or was missed, and no tick is later than the time since the one before it.
func TestTrackCountsEachPointOnce(t *testing.T) {
	tr := NewTrack(10*ms, 0, 100)
	at, n := time.Duration(0), uint64(0)
	for i := range 200 {
		n = max(n, uint64(at/(10*ms))) + 1
		at = time.Duration(n)*10*ms + time.Duration(i*i%47)*ms
		tr.Tick(n, at)
	}
	if got := uint64(len(tr.Late)) + tr.Missed; got != tr.Points() || tr.Missed == 0 {
		t.Errorf("%d ticks and %d missed points of %d", len(tr.Late), tr.Missed, tr.Points())
	}
}

func TestWhich(t *testing.T) {
	for _, c := range []struct {
		due  time.Duration
		last uint64
		want uint64
	}{{10 * ms, 0, 1}, {10*ms + 2000, 0, 1}, {19 * ms, 0, 1}, {70 * ms, 3, 7}, {70 * ms, 7, 8}, {-1, 0, 1}} {
		if got := which(c.due, 10*ms, c.last); got != c.want {
			t.Errorf("a tick of %v after point %d is for %d, want %d", c.due, c.last, got, c.want)
		}
	}
}

func TestSpread(t *testing.T) {
	var thousand []time.Duration
	for i := range 1000 {
		thousand = append(thousand, time.Duration(1000-i))
	}
	s := SpreadOf(thousand[:400], thousand[400:])
	for q, want := range map[float64]time.Duration{0: 1, 0.0005: 1, 0.5: 500, 0.99: 990, 0.999: 999, 0.9991: 1000, 1: 1000} {
		if got := s.Quantile(q); got != want {
			t.Errorf("Quantile(%v) = %d, want %d", q, got, want)
		}
	}
	if s.Mean() != 501 || s.Max() != 1000 { // 500.5
		t.Errorf("mean %d, max %d", s.Mean(), s.Max())
	}
	if want := time.Duration(math.Round(math.Sqrt((1000*1000 - 1) / 12.))); s.Sigma() != want {
		t.Errorf("sigma %d, want %d", s.Sigma(), want)
	}
	if s := SpreadOf([]time.Duration{2, 4, 4, 4, 5, 5, 7, 9}); s.Sigma() != 2 || s.Mean() != 5 || s.Quantile(0.5) != 4 {
		t.Errorf("sigma %d, mean %d, median %d", s.Sigma(), s.Mean(), s.Quantile(0.5))
	}
	none := SpreadOf()
	if none.Mean() != 0 || none.Sigma() != 0 || none.Quantile(0.99) != 0 || none.Max() != 0 {
		t.Error("of nothing there is something")
	}
}

// Ticks that are off the grid, or do not report what they skipped, are wrong.
func TestVerdict(t *testing.T) {
	const start = timer.Time(5 * ms)
	tick := func(n, skipped uint64, off time.Duration) timer.Tick {
		return timer.Tick{N: n, Due: start.Add(time.Duration(n)*10*ms + off), Skipped: skipped}
	}
	for _, c := range []struct {
		says  string
		ticks []timer.Tick
	}{
		{"", []timer.Tick{tick(1, 0, 0), tick(4, 2, 0), tick(5, 0, 0)}},
		{"3 points were lost unreported", []timer.Tick{tick(1, 0, 0), tick(4, 0, 0), tick(6, 0, 0)}},
		{"1 points were lost unreported", []timer.Tick{tick(1, 0, 0), tick(2, 1, 0)}},
		{"a tick was due 1ns off", []timer.Tick{tick(1, 0, 0), tick(2, 0, -1)}},
		{"twice or out of order", []timer.Tick{tick(2, 1, 0), tick(1, 0, 0)}},
		{"no tick came", nil},
	} {
		g := &gauge{Track: NewTrack(10*ms, 0, 10)}
		for _, tk := range c.ticks {
			g.tick(tk, start, start.Add(g.at(tk.N)+ms))
		}
		err := g.verdict("fine")
		if c.says == "" && err != nil || c.says != "" && (!errors.Is(err, ErrWrong) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%v: %v, want %q", c.ticks, err, c.says)
		}
	}
	g := &gauge{Track: NewTrack(10*ms, 0, 10), unreported: 3}
	g.Tick(4, 40*ms)
	if err := g.verdict("std"); err != nil {
		t.Errorf("the runtime's ticker promises nothing and fails: %v", err)
	}
}

// Each ticker runs to the end, under each load, and accounts for each point.
func TestRun(t *testing.T) {
	for ticker := range tickers {
		for _, j := range []Job{{}, {Inside: 2}, {Inside: 2, Spare: true}} {
			j.Ticker, j.Period, j.Warm, j.Window = ticker, ms, 2*ms, 15*ms
			r, err := j.Run()
			if err != nil {
				t.Errorf("%+v: %v", j, err)
				continue
			}
			if r.Points < 15 || uint64(len(r.Late))+r.Missed != r.Points || (ticker != "std") != (r.Help != "") {
				t.Errorf("%+v: %d ticks and %d missed of %d points, help %q", j, len(r.Late), r.Missed, r.Points, r.Help)
			}
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for _, j := range []Job{{Ticker: "sundial", Period: ms, Window: ms}, {Ticker: "std", Window: ms}, {Ticker: "std", Period: ms}} {
		if _, err := j.Run(); err == nil {
			t.Errorf("%+v ran", j)
		}
	}
}
