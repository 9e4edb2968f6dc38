package metrics

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/health"
	"github.com/weir-go/weir/health/healthgrpc"
	"github.com/weir-go/weir/stream"
)

// fixedHealth and fixedWatch are sources that always say the same.
type (
	fixedHealth health.State
	fixedWatch  healthgrpc.Stats
)

func (f fixedHealth) Status() health.Status   { return health.Status{State: health.State(f)} }
func (fixedHealth) Stats() health.Stats       { return health.Stats{} }
func (f *fixedWatch) Stats() healthgrpc.Stats { return healthgrpc.Stats(*f) }

// In each state its figure is 1, and only that; and there is a figure for each
// state that has a name.
func TestOneStateIsOne(t *testing.T) {
	for s := health.Starting; s <= health.Left; s++ {
		page := scrape(t, NewHealth(fixedHealth(s)))
		for other := health.Starting; other <= health.Left; other++ {
			require.Contains(t, page, fmt.Sprintf("weir_health_state{state=\"%s\"} %v\n", other, one(other == s)))
		}
		require.Contains(t, page, fmt.Sprintf("weir_health_ready %v\n", one(s.Ready())))
	}
	require.Equal(t, "state 6", (health.Left + 1).String(), "a state that is not shown")
}

// A scrape of a real one follows it.
func TestScrapeOfHealth(t *testing.T) {
	verdict := bounds.Verdict{}
	h := health.New(health.Config{Verdict: func() bounds.Verdict { return verdict }})
	c := NewHealth(h)
	is := func(state health.State, ready int) {
		t.Helper()
		page := scrape(t, c)
		require.Contains(t, page, fmt.Sprintf("weir_health_state{state=\"%s\"} 1\n", state))
		require.Contains(t, page, fmt.Sprintf("weir_health_ready %d\n", ready))
	}
	is(health.Starting, 0)
	h.Serve()
	is(health.Serving, 1)
	verdict.State = bounds.Shed
	is(health.Shedding, 1)
	verdict.State = bounds.Critical
	is(health.Full, 0)
	verdict.State = bounds.Normal
	is(health.Serving, 1)
	h.Drain("it ends")
	is(health.Draining, 0)

	_, err := h.Watch(func() {})
	require.NoError(t, err)
	verdict.State = bounds.Shed // which it does not say any more
	page := scrape(t, c)
	for state, n := range map[string]int{"starting": 0, "serving": 2, "shedding": 1, "full": 1, "draining": 1, "left": 0} {
		require.Contains(t, page, fmt.Sprintf("weir_health_entered_total{state=\"%s\"} %d\n", state, n))
	}
	require.Contains(t, page, "weir_health_watchers 1\n")
	require.Contains(t, page, "weir_health_watchers_refused_total 0\n")
}

// refusing is a HealthSource with figures that a short test does not come to.
type refusing struct{ fixedHealth }

func (refusing) Stats() health.Stats { return health.Stats{Watchers: 101, Refused: 102} }

func TestEveryFigureOfHealthIsShown(t *testing.T) {
	requireShown(t, scrape(t, NewHealth(refusing{})), []string{"Watchers", "Refused"}, 101)
}

func TestEveryFigureOfHealthGRPCIsShown(t *testing.T) {
	f := new(fixedWatch)
	names := number(f, 101)
	page := scrape(t, NewHealthGRPC("main", f))
	requireShown(t, page, names, 101)
	require.Equal(t, len(names), strings.Count(page, `{server="main"} `))
}

func TestHealthNamesFollowTheConventions(t *testing.T) {
	for _, c := range []prometheus.Collector{NewHealth(fixedHealth(0)), NewHealthGRPC("main", new(fixedWatch))} {
		problems, err := testutil.CollectAndLint(c)
		require.NoError(t, err)
		require.Empty(t, problems)
	}
}

// Real ones in one registry, of two servers.
func TestHealthOfTwoServers(t *testing.T) {
	h := health.New(health.Config{})
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(NewHealth(h)))
	for _, name := range []string{"front", "back"} {
		svc, err := healthgrpc.Register(stream.NewServer(stream.Config{}), h, healthgrpc.Config{})
		require.NoError(t, err)
		defer svc.Close()
		require.NoError(t, registry.Register(NewHealthGRPC(name, svc)))
	}
	n, err := testutil.GatherAndCount(registry, "weir_health_grpc_watchers")
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Error(t, registry.Register(NewHealth(h)), "a process has one")
}
