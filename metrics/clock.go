package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-go/weir/timer"
)

// ClockSource is what a Clock collector reads; *timer.Clock is one. Stats must
// be safe to call from any goroutine.
type ClockSource interface {
	Stats() timer.ClockStats
}

// Clock is a prometheus.Collector over the counters of one timer.Clock. It may
// be scraped from any goroutine, also after its clock was closed.
type Clock struct {
	source  ClockSource
	figures []*prometheus.Desc // a row of the table each
	late    *prometheus.Desc
	info    *prometheus.Desc
}

// NewClock makes a collector that labels everything it reads from source with
// clock=name. Within a registry a name can be registered once.
func NewClock(name string, source ClockSource) *Clock {
	c := &Clock{source: source}
	label := prometheus.Labels{"clock": name}
	for _, f := range clockFigures {
		c.figures = append(c.figures, prometheus.NewDesc("weir_clock_"+f.name, f.help, nil, label))
	}
	c.late = prometheus.NewDesc("weir_clock_late_seconds",
		"How late the clock woke up for an instant that it slept for.", nil, label)
	c.info = prometheus.NewDesc("weir_clock_info",
		"1, with what the clock was asked for and what it was granted.", []string{"precision", "base", "help"}, label)
	return c
}

type clockFigure struct {
	kind prometheus.ValueType
	name string
	help string
	read func(*timer.ClockStats) float64
}

var clockFigures = []clockFigure{
	{level, "timers", "Timers that are set: alarms, contexts, tickers.",
		func(s *timer.ClockStats) float64 { return float64(s.Pending) }},
	{count, "fired_total", "Functions handed over, times sent and contexts ended because their time had come.",
		func(s *timer.ClockStats) float64 { return float64(s.Fired) }},
	{count, "pool_refusals_total", "Functions that the pool did not take at once.",
		func(s *timer.ClockStats) float64 { return float64(s.Refused) }},
	{level, "backlog", "Functions that wait for the pool.",
		func(s *timer.ClockStats) float64 { return float64(s.Backlog) }},
	{count, "inline_total", "Functions run on the clock itself because the backlog was full.",
		func(s *timer.ClockStats) float64 { return float64(s.Inline) }},
	{count, "panics_total", "Panics of callbacks on the clock.",
		func(s *timer.ClockStats) float64 { return float64(s.Panics) }},
	{count, "spun_seconds_total", "Time spent spinning before instants.",
		func(s *timer.ClockStats) float64 { return s.Spun.Seconds() }},
	{count, "steps_total", "Times that the wall clock was set or the machine woke up.",
		func(s *timer.ClockStats) float64 { return float64(s.Steps) }},
	{count, "suspends_total", "Times that the machine was suspended.",
		func(s *timer.ClockStats) float64 { return float64(s.Suspends) }},
	{count, "suspended_seconds_total", "Time that the machine was suspended.",
		func(s *timer.ClockStats) float64 { return s.Suspended.Seconds() }},
}

// Describe implements prometheus.Collector.
func (c *Clock) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.figures {
		to <- d
	}
	to <- c.late
	to <- c.info
}

// Collect implements prometheus.Collector.
func (c *Clock) Collect(to chan<- prometheus.Metric) {
	s := c.source.Stats()
	for i, f := range clockFigures {
		to <- prometheus.MustNewConstMetric(c.figures[i], f.kind, f.read(&s))
	}
	to <- lateness(c.late, &s.Late)
	to <- prometheus.MustNewConstMetric(c.info, level, 1, s.Precision.String(), s.Base.String(), s.Help)
}

// The bounds of lateness: 1.024 µs to 1.07 s, each twice the one before.
const (
	firstLate = 1024 * time.Nanosecond
	lastLate  = 1 << 20 * firstLate
)

// lateness translates h into the form of Prometheus. Its buckets are eighths of
// these, so that none lies across a bound.
func lateness(d *prometheus.Desc, h *timer.Histogram, labels ...string) prometheus.Metric {
	upTo := map[float64]uint64{}
	var count uint64
	bound := firstLate
	for below, n := range h.Buckets {
		for ; below > bound && bound <= lastLate; bound *= 2 {
			upTo[bound.Seconds()] = count
		}
		count += n
	}
	for ; bound <= lastLate; bound *= 2 {
		upTo[bound.Seconds()] = count
	}
	return prometheus.MustNewConstHistogram(d, count, h.Sum.Seconds(), upTo, labels...)
}
