package healthhttp_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/weir-go/weir/health"
	"github.com/weir-go/weir/health/healthhttp"
)

// A balancer asks /readyz, a supervisor /healthz. That a process ends is the
// balancer's business only.
func ExampleHandler() {
	h := health.New(health.Config{})
	probes := healthhttp.Handler(h)
	ask := func(path string) {
		w := httptest.NewRecorder()
		probes.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Print(path, " ", w.Code, " ", w.Body)
	}
	h.Serve()
	ask("/readyz")
	h.Drain("terminated")
	ask("/readyz")
	ask("/healthz")
	// Output:
	// /readyz 200 {"state":"serving","ready":true}
	// /readyz 503 {"state":"draining","ready":false,"reason":"terminated"}
	// /healthz 200 {"state":"draining","ready":false,"reason":"terminated"}
}
