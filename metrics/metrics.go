// Package metrics shows a runtime's counters to Prometheus.
//
//	rt, err := conn.Start(conn.Config{})
//	...
//	prometheus.MustRegister(metrics.NewRuntime("edge", rt))
//
// A collector keeps nothing and costs nothing between scrapes: each scrape
// takes one Stats value, so the figures in it belong together. Everything is
// in base units, seconds and bytes, and what only grows ends in _total.
//
// A timer.Clock has a collector likewise, NewClock, and a sched.Scheduler,
// NewSched; what is of package stream has NewStreamServer, NewStreamClient and
// NewTopic, and how often a client's streams make do with unary calls NewTwins.
// What a process may hold has NewBounds, who comes in at its doors
// NewGuard and NewProxy, how it is NewHealth and NewHealthGRPC, and who was there
// before it and comes after it NewRestart.
//
// The runtime's name becomes the label "runtime", so that one process may show
// several. Figures of a single loop are labelled "loop" as well. The tables in
// figures.go say what each figure means; they are the help texts of a scrape.
package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-go/weir/conn"
)

// Source is what a Runtime collector reads; *conn.Runtime is one. Stats must
// be safe to call from any goroutine.
type Source interface {
	Stats() conn.Stats
}

// Runtime is a prometheus.Collector over the counters of one conn.Runtime. It
// may be scraped from any goroutine, also after its runtime was closed.
type Runtime struct {
	source Source

	// One for each row of the tables, in their order.
	figures    shown[conn.Stats]
	numbers    []*prometheus.Desc
	histograms []*prometheus.Desc
}

// NewRuntime makes a collector that labels everything it reads from source
// with runtime=name. Within a registry a name can be registered once.
func NewRuntime(name string, source Source) *Runtime {
	label := prometheus.Labels{"runtime": name}
	r := &Runtime{source: source, figures: tabulate("weir_", label, figures)}
	for _, f := range loopFigures {
		r.numbers = append(r.numbers, prometheus.NewDesc("weir_loop_"+f.name, f.help, []string{"loop"}, label))
	}
	for _, h := range loopHistograms {
		r.histograms = append(r.histograms, prometheus.NewDesc("weir_loop_"+h.name, h.help, []string{"loop"}, label))
	}
	return r
}

// Describe implements prometheus.Collector.
func (r *Runtime) Describe(to chan<- *prometheus.Desc) {
	r.figures.describe(to)
	for _, descs := range [][]*prometheus.Desc{r.numbers, r.histograms} {
		for _, d := range descs {
			to <- d
		}
	}
}

// Collect implements prometheus.Collector.
func (r *Runtime) Collect(to chan<- prometheus.Metric) {
	stats := r.source.Stats()
	r.figures.collect(to, &stats)
	for i := range stats.Loops {
		r.collectLoop(to, &stats.Loops[i], strconv.Itoa(i))
	}
}

func (r *Runtime) collectLoop(to chan<- prometheus.Metric, s *conn.LoopStats, loop string) {
	for i, f := range loopFigures {
		to <- prometheus.MustNewConstMetric(r.numbers[i], f.kind, f.read(s), loop)
	}
	for i, h := range loopHistograms {
		to <- h.bounds.histogram(r.histograms[i], h.read(s), loop)
	}
}
