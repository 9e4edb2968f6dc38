package metrics

import (
	"github.com/weir-go/weir/breaker"
	"github.com/weir-go/weir/stream"
)

// BreakerSource is what a Breakers collector reads; *breaker.Breakers is one.
// Stats must be safe to call from any goroutine.
type BreakerSource interface {
	Stats() breaker.Stats
}

// Breakers is a prometheus.Collector over the counters of one breaker.Breakers.
// It may be scraped from any goroutine; a scrape looks at each destination. It has
// no label for destinations: they are as many as a program calls.
type Breakers struct{ collector[breaker.Stats] }

// NewBreakers makes a collector that labels everything it reads from source with
// breakers=name. Within a registry a name can be registered once.
func NewBreakers(name string, source BreakerSource) *Breakers {
	return &Breakers{collects("weir_breaker_", "breakers", name, source.Stats, breakerFigures)}
}

var breakerFigures = []row[breaker.Stats]{
	{level, "destinations", "", "Destinations that are remembered.",
		func(s *breaker.Stats) float64 { return float64(s.Destinations) }},
	{level, "destinations_open", "", "Destinations that have failed too often and not succeeded since.",
		func(s *breaker.Stats) float64 { return float64(s.Open) }},
	{count, "calls_refused_total", "", "Calls that were not let through.",
		func(s *breaker.Stats) float64 { return float64(s.Refused) }},
	{count, "opened_total", "", "Times that a breaker opened.",
		func(s *breaker.Stats) float64 { return float64(s.Opened) }},
	{count, "destinations_forgotten_total", "", "Destinations that were forgotten for others.",
		func(s *breaker.Stats) float64 { return float64(s.Forgotten) }},
}

// targetFigures are those of a client that is careful with its targets.
var targetFigures = []row[stream.ClientStats]{
	{level, "calls_resting", "", "Calls that wait for when a server wants them back.",
		func(s *stream.ClientStats) float64 { return float64(s.Resting) }},
	{level, "retry_budget", "", "Calls that may be done again now.",
		func(s *stream.ClientStats) float64 { return float64(s.Budget) }},
	{count, "pushbacks_total", "", "Streams that a server has refused and wants back, and that may come back.",
		func(s *stream.ClientStats) float64 { return float64(s.Pushbacks) }},
	{count, "retries_over_budget_total", "", "Streams that were not opened again because the budget was used up.",
		func(s *stream.ClientStats) float64 { return float64(s.NoBudget) }},
	{count, "dials_barred_total", "", "Connections that were not begun because the target's breaker was open.",
		func(s *stream.ClientStats) float64 { return float64(s.Barred) }},
}
