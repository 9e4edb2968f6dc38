package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler is a whole /metrics page for programs that have no registry of their
// own: the Go runtime, the process, and each of rts. It panics when two of rts
// have one name.
func Handler(rts ...*Runtime) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, rt := range rts {
		registry.MustRegister(rt)
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}
