package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-go/weir/timer"
)

// TickerSource is what a Ticker collector reads; *timer.Ticker is one. Both
// methods must be safe to call from any goroutine.
type TickerSource interface {
	Stats() timer.TickerStats
	Lateness() timer.Lateness
}

// Ticker is a prometheus.Collector over the counters of one timer.Ticker and its
// lateness. It may be scraped from any goroutine, also when it is stopped.
type Ticker struct {
	source               TickerSource
	ticks, skipped, late *prometheus.Desc
}

// NewTicker makes a collector that labels everything it reads from source with
// ticker=name. Within a registry a name can be registered once.
func NewTicker(name string, source TickerSource) *Ticker {
	label := prometheus.Labels{"ticker": name}
	return &Ticker{
		source: source,
		ticks:  prometheus.NewDesc("weir_ticker_ticks_total", "Ticks delivered.", nil, label),
		skipped: prometheus.NewDesc("weir_ticker_skipped_total",
			"Ticks that did not come, by reason: the clock was late, or the one before was not taken yet.",
			[]string{"reason"}, label),
		late: prometheus.NewDesc("weir_ticker_late_seconds",
			"How late a tick was against the instant at which it was due, by place: the clock was awake, it called or sent, the consumer had it.",
			[]string{"place"}, label),
	}
}

// Describe implements prometheus.Collector.
func (t *Ticker) Describe(to chan<- *prometheus.Desc) {
	to <- t.ticks
	to <- t.skipped
	to <- t.late
}

// Collect implements prometheus.Collector.
func (t *Ticker) Collect(to chan<- prometheus.Metric) {
	s, l := t.source.Stats(), t.source.Lateness()
	to <- prometheus.MustNewConstMetric(t.ticks, count, float64(s.Ticks))
	to <- prometheus.MustNewConstMetric(t.skipped, count, float64(s.Late), "late")
	to <- prometheus.MustNewConstMetric(t.skipped, count, float64(s.Unread), "unread")
	to <- lateness(t.late, &l.Wake, "wake")
	to <- lateness(t.late, &l.Call, "call")
	to <- lateness(t.late, &l.Take, "take")
}
