package healthhttp_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/health"
	"github.com/weir-go/weir/health/healthhttp"
	"github.com/weir-go/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// TestProbes asks as a kubelet or a balancer does.
func TestProbes(t *testing.T) {
	var v bounds.Verdict
	var dead error
	h := health.New(health.Config{Verdict: func() bounds.Verdict { return v }, Alive: func() error { return dead }})
	srv := httptest.NewServer(healthhttp.Handler(h))
	defer srv.Close()
	for _, step := range []struct {
		do          func()
		path        string
		code        int
		body, retry string
		closes      bool
	}{
		{nil, "/readyz", 503, `{"state":"starting","ready":false,"reason":"not all has been started"}`, "5", false},
		{nil, "/healthz", 200, `{"state":"starting","ready":false,"reason":"not all has been started"}`, "", false},
		{h.Serve, "/readyz", 200, `{"state":"serving","ready":true}`, "", false},
		{func() {
			v = bounds.Verdict{State: bounds.Shed, Resource: bounds.Descriptors, Load: .86, Back: time.Second}
		},
			"/readyz", 200, `{"state":"shedding","ready":true,"reason":"shed: descriptors at 86 %"}`, "", false},
		{func() {
			v = bounds.Verdict{State: bounds.Critical, Resource: bounds.Descriptors, Load: .93, Back: 1500 * time.Millisecond}
		},
			"/readyz", 503, `{"state":"full","ready":false,"reason":"critical: descriptors at 93 %"}`, "2", false},
		{nil, "/healthz", 200, `{"state":"full","ready":false,"reason":"critical: descriptors at 93 %"}`, "", false},
		{func() { dead = errors.New("a loop hangs") }, "/healthz", 503, `{"state":"dead","ready":false,"reason":"a loop hangs"}`, "", false},
		{func() { dead = nil; h.Drain("terminated") }, "/readyz", 503, `{"state":"draining","ready":false,"reason":"terminated"}`, "5", false},
		{nil, "/healthz", 200, `{"state":"draining","ready":false,"reason":"terminated"}`, "", false},
		{func() {
			h = health.New(health.Config{})
			h.Serve()
			h.Leave()
			srv.Config.Handler = healthhttp.Handler(h)
		},
			"/readyz", 200, `{"state":"left","ready":true,"reason":"a successor serves"}`, "", true},
	} {
		if step.do != nil {
			step.do()
		}
		r, err := http.Get(srv.URL + step.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != step.code || string(body) != step.body+"\n" || r.Header.Get("Retry-After") != step.retry || r.Close != step.closes {
			t.Errorf("%s: %d %s, Retry-After %q, closes: %v; want %d %s, %q, %v", step.path,
				r.StatusCode, body, r.Header.Get("Retry-After"), r.Close, step.code, step.body, step.retry, step.closes)
		}
		if r.Header.Get("Cache-Control") != "no-store" {
			t.Error("the answer may be kept")
		}
	}
	r, err := http.Post(srv.URL+"/readyz", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", r.StatusCode)
	}
}
