package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-go/weir/bounds"
)

// BoundsSource is what a Bounds collector reads; *bounds.Bounds is one. Stats
// must be safe to call from any goroutine.
type BoundsSource interface {
	Stats() bounds.Stats
}

// Bounds is a prometheus.Collector over what a process may hold and holds. It
// may be scraped from any goroutine.
type Bounds struct {
	source    BoundsSource
	figures   []*prometheus.Desc // a row of the table each
	classes   []*prometheus.Desc
	resources []*prometheus.Desc
	entered   *prometheus.Desc
	refused   *prometheus.Desc
}

// NewBounds makes a collector of what source has counted. A process has one, so
// its figures have no label with a name.
func NewBounds(source BoundsSource) *Bounds {
	b := &Bounds{source: source}
	for _, f := range boundsFigures {
		b.figures = append(b.figures, prometheus.NewDesc("weir_bounds_"+f.name, f.help, nil, nil))
	}
	for _, f := range heldFigures {
		b.classes = append(b.classes, prometheus.NewDesc("weir_bounds_"+f.name, f.help, []string{"class"}, nil))
	}
	for _, f := range scarceFigures {
		b.resources = append(b.resources, prometheus.NewDesc("weir_bounds_"+f.name, f.help, []string{"resource"}, nil))
	}
	b.entered = prometheus.NewDesc("weir_bounds_entered_total",
		"Times that a resource came to a state.", []string{"resource", "state"}, nil)
	b.refused = prometheus.NewDesc("weir_bounds_refused_total",
		"What was refused for want of a resource: by class of descriptor, or \"call\" for a stream that was not admitted, and by the resource's state then. Absent: none.",
		[]string{"resource", "class", "state"}, nil)
	return b
}

var boundsFigures = []schedFigure[bounds.Stats]{
	{level, "descriptors_limit", "Descriptors that the process may have.",
		func(s *bounds.Stats) float64 { return float64(s.Limit) }},
	{level, "descriptors_capacity", "Of them, those that are not kept in reserve: what the load is a part of.",
		func(s *bounds.Stats) float64 { return float64(s.Capacity) }},
	{level, "descriptors_untracked", "Descriptors that are open and that nobody has counted, by the kernel's last count.",
		func(s *bounds.Stats) float64 { return float64(s.Untracked) }},
	{level, "streams_share", "Part of new streams that is let in.",
		func(s *bounds.Stats) float64 { return s.Verdict.Streams }},
	{count, "streams_admitted_total", "Streams that were let in.",
		func(s *bounds.Stats) float64 { return float64(s.Streams) }},
	{count, "streams_refused_total", "Streams that were refused.",
		func(s *bounds.Stats) float64 { return float64(s.StreamsRefused) }},
	{count, "kernel_counts_total", "Times that the kernel was asked how many descriptors are open.",
		func(s *bounds.Stats) float64 { return float64(s.Counts) }},
	{count, "kernel_count_errors_total", "Times that it did not say.",
		func(s *bounds.Stats) float64 { return float64(s.CountErrors) }},
	{count, "overdrawn_total", "Descriptors that were given back without having been taken: a mistake of the program.",
		func(s *bounds.Stats) float64 { return float64(s.Overdrawn) }},
	{count, "changes_lost_total", "Changes of a state that nobody was told of in time.",
		func(s *bounds.Stats) float64 { return float64(s.ChangesLost) }},
}

var heldFigures = []schedFigure[bounds.ClassStats]{
	{level, "descriptors", "Descriptors in use, by what they are for.",
		func(s *bounds.ClassStats) float64 { return float64(s.Used) }},
	{level, "descriptors_share", "Descriptors that the class may use when they are short.",
		func(s *bounds.ClassStats) float64 { return float64(s.Share) }},
	{count, "descriptors_taken_total", "Descriptors taken.",
		func(s *bounds.ClassStats) float64 { return float64(s.Taken) }},
	{count, "descriptors_refused_total", "Descriptors refused.",
		func(s *bounds.ClassStats) float64 { return float64(s.Refused) }},
}

var scarceFigures = []schedFigure[bounds.ResourceStats]{
	{level, "state", "State of the resource: 0 normal, 1 shed, 2 critical, 3 hard.",
		func(s *bounds.ResourceStats) float64 { return float64(s.State) }},
	{level, "load", "What is in use of what there is.",
		func(s *bounds.ResourceStats) float64 { return s.Load }},
	{count, "exhausted_total", "Times that somebody found none left.",
		func(s *bounds.ResourceStats) float64 { return float64(s.Exhausted) }},
}

// Describe implements prometheus.Collector.
func (b *Bounds) Describe(to chan<- *prometheus.Desc) {
	for _, all := range [][]*prometheus.Desc{b.figures, b.classes, b.resources, {b.entered, b.refused}} {
		for _, d := range all {
			to <- d
		}
	}
}

// Collect implements prometheus.Collector.
func (b *Bounds) Collect(to chan<- prometheus.Metric) {
	s := b.source.Stats()
	show(to, b.figures, boundsFigures, &s)
	for c := bounds.Admin; int(c) < bounds.Classes; c++ {
		show(to, b.classes, heldFigures, &s.Classes[c], c.String())
	}
	for i := range s.Resources {
		r := &s.Resources[i]
		show(to, b.resources, scarceFigures, r, string(r.Resource))
		for state := bounds.Shed; state <= bounds.Hard; state++ {
			to <- prometheus.MustNewConstMetric(b.entered, count, float64(r.Entered[state]), string(r.Resource), state.String())
		}
		b.refusals(to, r)
	}
}

// refusals shows those that there were: most of the many sorts never come.
func (b *Bounds) refusals(to chan<- prometheus.Metric, r *bounds.ResourceStats) {
	for c := range r.Refused {
		class := bounds.Class(c).String()
		if c == 0 {
			class = "call"
		}
		for state, n := range r.Refused[c] {
			if n > 0 {
				to <- prometheus.MustNewConstMetric(b.refused, count, float64(n), string(r.Resource), class, bounds.State(state).String())
			}
		}
	}
}
