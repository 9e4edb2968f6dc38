package report

import (
	"bytes"
	"flag"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run with -update and look at the difference\n--- got\n%s", file, got)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{9, 1, 5, 6}, 5.5},
	} {
		before := slices.Clone(c.values)
		if got := Median(c.values); got != c.want {
			t.Errorf("Median(%v) = %v, want %v", c.values, got, c.want)
		}
		if !slices.Equal(before, c.values) {
			t.Errorf("Median reordered its argument to %v", c.values)
		}
	}
}

// The machine was twice as slow in round 2: the ratio of medians would say 1.5, the rounds say 0.5.
func TestRatiosAreTakenWithinRounds(t *testing.T) {
	base := map[int]float64{1: 10, 2: 20, 3: 10, 4: 0}
	value := map[int]float64{1: 5, 2: 10, 4: 9, 5: 7}
	if got := ratiosOf(value, base); !maps.Equal(got, map[int]float64{1: 0.5, 2: 0.5}) {
		t.Errorf("ratiosOf = %v: rounds without both, or with a base of 0, have none", got)
	}
}

// A quantile of all rounds together stands in the middle; the range is the rounds'.
func TestAValueOfTheWholeStandsForTheMedian(t *testing.T) {
	for _, c := range []struct {
		values        map[int]float64
		mid, low, top float64
		rounds        int
	}{
		{map[int]float64{1: 3, 2: 5, 3: 10}, 5, 3, 10, 3},
		{map[int]float64{Whole: 7, 1: 3, 2: 5, 3: 10}, 7, 3, 10, 3},
		{map[int]float64{Whole: 12, 1: 3, 2: 5}, 12, 3, 5, 2},
		{map[int]float64{Whole: 7}, 7, 7, 7, 1},
	} {
		mid, low, top, rounds := sum(c.values)
		if mid != c.mid || low != c.low || top != c.top || rounds != c.rounds {
			t.Errorf("sum(%v) = %v, %v, %v, %d", c.values, mid, low, top, rounds)
		}
	}
	var l Log
	for round, v := range map[int]float64{Whole: 4, 1: 2, 2: 8} {
		l.Add(Sample{Case: "c", Subject: "std", Metric: "m", Round: round, Value: 2 * v})
		l.Add(Sample{Case: "c", Subject: "x", Metric: "m", Round: round, Value: v, Disturbed: round == 1})
	}
	rows := l.Rows(Options{Base: "std", Metrics: []Metric{{Name: "m", Ratio: RatioColumn}}})
	want := Row{Case: "c", Subject: "x", Metric: "m_ratio", Unit: "x", Median: 0.5, Min: 0.5, Max: 0.5, Rounds: 2}
	if !slices.Contains(rows, want) {
		t.Errorf("no %+v in %+v", want, rows)
	}
	if bad, of := l.Disturbed(""); bad != 1 || of != 4 {
		t.Errorf("Disturbed = %d of %d, want 1 of 4", bad, of)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.00", 0.0123: "0.012", 0.834: "0.83", 6.944: "6.94", 55.55: "55.5", 555: "555", 1184.4: "1,184", 1234567: "1,234,567", -12345: "-12,345",
	} {
		if got := Number(v); got != want {
			t.Errorf("Number(%v) = %q, want %q", v, got, want)
		}
	}
}

var metrics = []Metric{
	{Name: "rate", Unit: "req/s", Title: "req/s"},
	{Name: "cpu_per_request", Unit: "us", Title: "CPU µs/request", Ratio: RatioColumn},
	{Name: "steal", Unit: "%", Title: "steal %", Aside: true},
}

var names = Names{"std": "package net", "callback": "weir callback", "64x64x1": "64 × 64 B × 1"}

// sampleLog is two cases of two subjects; round 2 of the first case was disturbed for std.
func sampleLog() *Log {
	var l Log
	add := func(name, subject string, round int, rate, cpu float64, disturbed bool) {
		for metric, v := range map[string]float64{"rate": rate, "cpu_per_request": cpu, "steal": 1.25} {
			l.Add(Sample{Case: name, Subject: subject, Metric: metric, Round: round, Value: v, Disturbed: disturbed})
		}
	}
	add("64x64x1", "std", 1, 111153, 8.75, false)
	add("64x64x1", "callback", 1, 138111.123456, 7.1, false)
	add("64x64x1", "std", 2, 99000, 9.9, true)
	add("64x64x1", "callback", 2, 130000, 7.7, false)
	add("64x64x1", "std", 3, 112000, 8.5, false)
	add("64x64x1", "callback", 3, 140000, 7.0, false)
	add("1000x64x1", "std", 1, 76571, 13.03, false)
	add("1000x64x1", "callback", 1, 104384, 8.9, false)
	return &l
}

func options() Options { return Options{Bench: "echo", Base: "std", Metrics: metrics} }

func TestDisturbedCountsWindowsNotSamples(t *testing.T) {
	l := sampleLog()
	if bad, of := l.Disturbed(""); bad != 1 || of != 8 {
		t.Errorf("Disturbed = %d of %d, want 1 of 8", bad, of)
	}
	if bad, of := l.Disturbed("1000x64x1"); bad != 0 || of != 2 {
		t.Errorf("Disturbed = %d of %d, want 0 of 2", bad, of)
	}
}

func TestDropLeavesDisturbedRoundsOut(t *testing.T) {
	o := options()
	o.Drop = true
	for _, r := range sampleLog().Rows(o) {
		want := map[string]int{"std": 2, "callback": 3}[r.Subject]
		if r.Metric == "cpu_per_request_ratio" {
			want = 2 // a ratio needs both
		}
		if r.Case == "64x64x1" && r.Rounds != want {
			t.Errorf("%s of %s has %d rounds, want %d", r.Metric, r.Subject, r.Rounds, want)
		}
	}
}

func TestGolden(t *testing.T) {
	rows := sampleLog().Rows(options())
	var js, md, txt bytes.Buffer
	if err := WriteJSON(&js, rows); err != nil {
		t.Fatal(err)
	}
	for _, g := range Grids(rows, metrics, names) {
		md.WriteString(g.Markdown(2) + "\n")
		txt.WriteString(g.Text() + "\n")
	}
	plot := Plot{Title: "CPU per request", Note: "shorter is better", Rows: rows, Metric: "cpu_per_request_ratio", Base: "std", Names: names}
	golden(t, "rows.json", js.Bytes())
	golden(t, "table.md", md.Bytes())
	golden(t, "table.txt", txt.Bytes())
	golden(t, "plot.svg", []byte(plot.SVG()))
}

func TestPlotOfNothingIsNothing(t *testing.T) {
	if s := (Plot{Metric: "rate_ratio", Rows: sampleLog().Rows(options())}).SVG(); s != "" {
		t.Errorf("drew %q", s)
	}
}

func TestCurves(t *testing.T) {
	var ours, theirs []time.Duration
	for i := range 2000 {
		ours, theirs = append(ours, time.Duration(i)*50), append(theirs, time.Millisecond+time.Duration(i*i))
	}
	c := Curves{Title: "Lateness", Note: "left is better", Names: names, Panels: []Panel{
		{"idle", []Line{{"std", theirs}, {"callback", ours}}},
		{"burnt", []Line{{"callback", []time.Duration{-5, 2 * time.Second}}}}, // beyond both ends
		{"one", []Line{{"std", []time.Duration{1000}}}},
	}}
	golden(t, "curves.svg", []byte(c.SVG()))
}

func TestAcross(t *testing.T) {
	for d, want := range map[time.Duration]float64{-1: 0, 0: 0, 100: 0, 1000: 1. / 7, time.Millisecond: 4. / 7, time.Second: 1, time.Hour: 1} {
		if got := across(d); math.Abs(got-want) > 1e-9 {
			t.Errorf("across(%v) = %v, want %v", d, got, want)
		}
	}
}
