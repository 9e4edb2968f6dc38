package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-go/weir/health"
	"github.com/weir-go/weir/health/healthgrpc"
)

// HealthSource is what a Health collector reads; *health.Health is one. Status
// must be safe to call from any goroutine, and must not block.
type HealthSource interface {
	Status() health.Status
}

// WatchSource is what a HealthGRPC collector reads; *healthgrpc.Service is one.
// Stats must be safe to call from any goroutine.
type WatchSource interface {
	Stats() healthgrpc.Stats
}

// Health is a prometheus.Collector over how a process is: one figure for each
// State, of which one is 1 and the others are 0. It sees what is so at a scrape;
// a state that comes and goes between two of them is in none. It may be scraped
// from any goroutine.
type Health struct {
	source       HealthSource
	state, ready *prometheus.Desc
}

// HealthGRPC is a prometheus.Collector over those who watch a process's health by
// gRPC. It may be scraped from any goroutine, also after its service was closed.
type HealthGRPC struct{ collector[healthgrpc.Stats] }

// NewHealth makes a collector of what source says. A process has one health, so its
// figures have no label with a name.
func NewHealth(source HealthSource) *Health {
	return &Health{source,
		prometheus.NewDesc("weir_health_state",
			"1 for the state in which the process is, 0 for the others.", []string{"state"}, nil),
		prometheus.NewDesc("weir_health_ready",
			"1 if the process, or its successor, should be sent requests, otherwise 0.", nil, nil)}
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
}

// Collect implements prometheus.Collector.
func (h *Health) Collect(to chan<- prometheus.Metric) {
	now := h.source.Status().State
	for s := health.Starting; s <= health.Left; s++ {
		to <- prometheus.MustNewConstMetric(h.state, level, one(s == now), s.String())
	}
	to <- prometheus.MustNewConstMetric(h.ready, level, one(now.Ready()))
}

// one is 1 for what is so.
func one(so bool) float64 {
	if so {
		return 1
	}
	return 0
}
