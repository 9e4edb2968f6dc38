package metrics

import (
	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/proxyproto"
)

// GuardSource is what a Guard collector reads; *bounds.Guard is one. Stats must be
// safe to call from any goroutine.
type GuardSource interface {
	Stats() bounds.GuardStats
}

// ProxySource is what a Proxy collector reads; *proxyproto.Counters is one. Stats
// must be safe to call from any goroutine.
type ProxySource interface {
	Stats() proxyproto.Stats
}

// Guard is a prometheus.Collector over who was let in at a door. It may be scraped
// from any goroutine.
type Guard struct{ collector[bounds.GuardStats] }

// Proxy is a prometheus.Collector over the PROXY headers that were read, and those
// that were not. It may be scraped from any goroutine.
type Proxy struct{ collector[proxyproto.Stats] }

// NewGuard makes a collector that labels what it reads from source with guard=name.
// Within a registry a name can be registered once.
func NewGuard(name string, source GuardSource) *Guard {
	return &Guard{collects("weir_guard_", "guard", name, source.Stats, guardFigures)}
}

// NewProxy makes a collector that labels what it reads from source with proxy=name.
// Within a registry a name can be registered once.
func NewProxy(name string, source ProxySource) *Proxy {
	return &Proxy{collects("weir_proxy_", "proxy", name, source.Stats, proxyFigures)}
}

var guardFigures = []row[bounds.GuardStats]{
	{level, "sources", "", "Sources that are remembered: those with connections, and those who came lately.",
		func(s *bounds.GuardStats) float64 { return float64(s.Sources) }},
	{count, "let_in_total", "", "Connections let in, those of proxies not among them.",
		func(s *bounds.GuardStats) float64 { return float64(s.Let) }},
	{count, "proxies_total", "", "Connections of proxies, let in until they say for whom they speak.",
		func(s *bounds.GuardStats) float64 { return float64(s.Proxies) }},
	{count, "unwatched_total", "", "Connections let in without a look at their source, for there was no room to remember it.",
		func(s *bounds.GuardStats) float64 { return float64(s.Unwatched) }},
	{count, "refused_total", "denied", "Connections not let in, by reason: the address, too many open or new from one source, too many new from all.",
		func(s *bounds.GuardStats) float64 { return float64(s.Denied) }},
	{count, "refused_total", "connections", "",
		func(s *bounds.GuardStats) float64 { return float64(s.Conns) }},
	{count, "refused_total", "rate", "",
		func(s *bounds.GuardStats) float64 { return float64(s.Rate) }},
	{count, "refused_total", "crowd", "",
		func(s *bounds.GuardStats) float64 { return float64(s.Crowd) }},
}

var proxyFigures = []row[proxyproto.Stats]{
	{count, "untrusted_total", "", "Connections of peers that are no proxies, passed on without a look for a header.",
		func(s *proxyproto.Stats) float64 { return float64(s.Untrusted) }},
	{count, "v1_headers_total", "", "Headers of version 1 that name a client.",
		func(s *proxyproto.Stats) float64 { return float64(s.V1) }},
	{count, "v2_headers_total", "", "Headers of version 2 that name a client.",
		func(s *proxyproto.Stats) float64 { return float64(s.V2) }},
	{count, "nameless_headers_total", "", "Headers of either version that name none: health checks, families other than TCP over IP.",
		func(s *proxyproto.Stats) float64 { return float64(s.Nameless) }},
	{count, "refused_total", "malformed", "Connections of proxies that were ended, by reason: no header, not in time, or a client whom the guard does not let in.",
		func(s *proxyproto.Stats) float64 { return float64(s.Malformed) }},
	{count, "refused_total", "late", "",
		func(s *proxyproto.Stats) float64 { return float64(s.Late) }},
	{count, "refused_total", "guard", "",
		func(s *proxyproto.Stats) float64 { return float64(s.Refused) }},
}
