// Package healthhttp answers probes and balancers over HTTP.
//
//	GET /healthz   200 while the process is alive; 503: kill it and start another
//	GET /readyz    200 while it should be sent requests; 503: not now, and why
//
//	{"state":"full","ready":false,"reason":"critical: descriptors at 93 %"}
//
// A drain is no reason to be killed: /healthz goes on with 200. With 503 there is a
// Retry-After, in seconds, as far as one is known.
//
// The answers are the process's own and cost it a look at two numbers. They should
// be served where they are answered when nothing else is: by a listener of the
// class bounds.Admin.
package healthhttp

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"

	"github.com/weir-go/weir/health"
)

// Handler serves /healthz and /readyz.
func Handler(h *health.Health) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", Live(h))
	mux.Handle("GET /readyz", Ready(h))
	return mux
}

// Live is the handler of /healthz.
func Live(h *health.Health) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := h.Alive(); err != nil {
			write(w, http.StatusServiceUnavailable, answer{State: "dead", Reason: err.Error()})
			return
		}
		s := h.Status()
		write(w, http.StatusOK, answer{State: s.State.String(), Ready: s.State.Ready(), Reason: s.Reason})
	})
}

// Ready is the handler of /readyz. When a successor serves it closes the
// connection: who asks again reaches that one.
func Ready(h *health.Health) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s := h.Status()
		code := http.StatusOK
		if !s.State.Ready() {
			code = http.StatusServiceUnavailable
			if s.RetryAfter > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(s.RetryAfter.Seconds()))))
			}
		}
		if s.State == health.Left {
			w.Header().Set("Connection", "close")
		}
		write(w, code, answer{State: s.State.String(), Ready: s.State.Ready(), Reason: s.Reason})
	})
}

// answer is the body.
type answer struct {
	State  string `json:"state"`
	Ready  bool   `json:"ready"`
	Reason string `json:"reason,omitempty"`
}

func write(w http.ResponseWriter, code int, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(a) // fails only when the asker has gone
}
