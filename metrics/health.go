package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-go/weir/health"
	"github.com/weir-go/weir/health/healthgrpc"
)

// HealthSource is what a Health collector reads; *health.Health is one. Its methods
// must be safe to call from any goroutine, and must not block.
type HealthSource interface {
	Status() health.Status
	Stats() health.Stats
}

// WatchSource is what a HealthGRPC collector reads; *healthgrpc.Service is one.
// Stats must be safe to call from any goroutine.
type WatchSource interface {
	Stats() healthgrpc.Stats
}

// Health is a prometheus.Collector over how a process is: one figure for each
// State, of which one is 1 and the others are 0, as it is at a scrape; states that
// come and go between two of them are counted in weir_health_entered_total, if
// somebody has asked meanwhile or watches. It may be scraped from any goroutine.
type Health struct {
	source                HealthSource
	state, ready, entered *prometheus.Desc
	table                 shown[health.Stats]
}

// HealthGRPC is a prometheus.Collector over those who watch a process's health by
// gRPC. It may be scraped from any goroutine, also after its service was closed.
type HealthGRPC struct{ collector[healthgrpc.Stats] }

// NewHealth makes a collector of what source says. A process has one health, so its
// figures have no label with a name.
func NewHealth(source HealthSource) *Health {
	return &Health{source: source,
		state: prometheus.NewDesc("weir_health_state",
			"1 for the state in which the process is, 0 for the others.", []string{"state"}, nil),
		ready: prometheus.NewDesc("weir_health_ready",
			"1 if the process, or its successor, should be sent requests, otherwise 0.", nil, nil),
		entered: prometheus.NewDesc("weir_health_entered_total",
			"Times that the process was found in a state and had been in another one before.", []string{"state"}, nil),
		table: tabulate("weir_health_", nil, healthFigures),
	}
}

var healthFigures = []row[health.Stats]{
	{level, "watchers", "", "Parts of the process that are told when its state has changed.",
		func(s *health.Stats) float64 { return float64(s.Watchers) }},
	{count, "watchers_refused_total", "", "Parts of the process that are not told, because there were too many.",
		func(s *health.Stats) float64 { return float64(s.Refused) }},
}

// NewHealthGRPC makes a collector that labels what it reads from source with
// server=name: the name that NewStreamServer has for the server it is registered
// on. Within a registry a name can be registered once.
func NewHealthGRPC(name string, source WatchSource) *HealthGRPC {
	return &HealthGRPC{collects("weir_health_grpc_", "server", name, source.Stats, watchFigures)}
}

var watchFigures = []row[healthgrpc.Stats]{
	{level, "watchers", "", "Streams of Watch that are open.",
		func(s *healthgrpc.Stats) float64 { return float64(s.Watchers) }},
	{count, "watchers_refused_total", "", "Streams of Watch that were refused because there were too many.",
		func(s *healthgrpc.Stats) float64 { return float64(s.Refused) }},
}

// Describe implements prometheus.Collector.
func (h *Health) Describe(to chan<- *prometheus.Desc) {
	to <- h.state
	to <- h.ready
	to <- h.entered
	h.table.describe(to)
}

// Collect implements prometheus.Collector.
func (h *Health) Collect(to chan<- prometheus.Metric) {
	now := h.source.Status().State // first: it may be what is counted
	stats := h.source.Stats()
	for s := health.Starting; int(s) < health.States; s++ {
		to <- prometheus.MustNewConstMetric(h.state, level, one(s == now), s.String())
		to <- prometheus.MustNewConstMetric(h.entered, count, float64(stats.Entered[s]), s.String())
	}
	h.table.collect(to, &stats)
	to <- prometheus.MustNewConstMetric(h.ready, level, one(now.Ready()))
}

// one is 1 for what is so.
func one(so bool) float64 {
	if so {
		return 1
	}
	return 0
}
