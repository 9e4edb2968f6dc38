package report

import (
	"cmp"
	"slices"
)

// A Metric says how one figure is named and shown.
type Metric struct {
	Name  string // in rows: "cpu_per_request"
	Unit  string // "us", "B", "req/s"
	Title string // a column's head: "CPU µs/request"
	Ratio Ratio
	Aside bool // rows only, no column in tables
}

// Ratio says whether a metric is also compared with the base subject, round by round.
type Ratio uint8

const (
	NoRatio     Ratio = iota
	RatioRow          // in the rows only
	RatioColumn       // in the rows, and a column beside the metric's own
)

// RatioSuffix makes a metric's name its ratio's name.
const RatioSuffix = "_ratio"

// Whole is the round of a value that is of all rounds together, such as a quantile of what all of them measured. It
// stands in the place of the median; the range is still that of the rounds.
const Whole = 0

// A Sample is one value of one round.
type Sample struct {
	Case, Subject, Metric string
	Round                 int // from 1; or Whole
	Value                 float64
	Disturbed             bool // something else used the machine meanwhile
}

// Log collects the samples of one area. Its zero value is empty; not for concurrent use.
type Log struct {
	samples []Sample
}

// Add keeps one sample.
func (l *Log) Add(s Sample) { l.samples = append(l.samples, s) }

// Disturbed says how many of a case's measurements (one subject in one round) were disturbed, of how many.
// With "" as the case it counts all cases.
func (l *Log) Disturbed(name string) (disturbed, of int) {
	type window struct {
		name, subject string
		round         int
	}
	seen := map[window]bool{}
	for _, s := range l.samples {
		if s.Round != Whole && (name == "" || s.Case == name) {
			w := window{s.Case, s.Subject, s.Round}
			seen[w] = seen[w] || s.Disturbed
		}
	}
	for _, bad := range seen {
		if bad {
			disturbed++
		}
	}
	return disturbed, len(seen)
}

// Options say how Rows are made of samples.
type Options struct {
	Bench   string
	Base    string            // the subject that ratios are taken against
	Bases   map[string]string // of the cases that have another one
	Metrics []Metric          // in the order of the rows; samples of other metrics are left out
	Drop    bool              // leave out disturbed samples
}

// Rows sums the samples up: case by case in the order of their first appearance, in it metric by metric, in it
// subject by subject. A ratio is the median of the ratios within rounds, not the ratio of the medians: what the
// machine did in a round it did to both.
func (l *Log) Rows(o Options) []Row {
	kept := l.samples
	if o.Drop {
		kept = slices.DeleteFunc(slices.Clone(kept), func(s Sample) bool { return s.Disturbed })
	}
	subjects := distinct(kept, func(s Sample) string { return s.Subject })
	var rows []Row
	for _, name := range distinct(kept, func(s Sample) string { return s.Case }) {
		for _, m := range o.Metrics {
			rows = append(rows, metricRows(kept, o, name, m, subjects)...)
		}
	}
	return rows
}

func metricRows(samples []Sample, o Options, name string, m Metric, subjects []string) []Row {
	row := func(subject, metric, unit string, values map[int]float64) Row {
		r := Row{Bench: o.Bench, Case: name, Subject: subject, Metric: metric, Unit: unit}
		r.Median, r.Min, r.Max, r.Rounds = sum(values)
		return r
	}
	base := byRound(samples, name, cmp.Or(o.Bases[name], o.Base), m.Name)
	var rows, ratios []Row
	for _, subject := range subjects {
		values := byRound(samples, name, subject, m.Name)
		if len(values) == 0 {
			continue
		}
		rows = append(rows, row(subject, m.Name, m.Unit, values))
		if r := ratiosOf(values, base); m.Ratio != NoRatio && len(r) > 0 {
			ratios = append(ratios, row(subject, m.Name+RatioSuffix, "x", r))
		}
	}
	return append(rows, ratios...)
}

// byRound is one subject's values of one metric, by round.
func byRound(samples []Sample, name, subject, metric string) map[int]float64 {
	values := map[int]float64{}
	for _, s := range samples {
		if s.Case == name && s.Subject == subject && s.Metric == metric {
			values[s.Round] = s.Value
		}
	}
	return values
}

func distinct(samples []Sample, key func(Sample) string) []string {
	var names []string
	for _, s := range samples {
		if k := key(s); !slices.Contains(names, k) {
			names = append(names, k)
		}
	}
	return names
}
