package metrics

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/proxyproto"
	"github.com/weir-go/weir/timer"
)

// fixedGuard and fixedProxy are sources that always say the same.
type (
	fixedGuard bounds.GuardStats
	fixedProxy proxyproto.Stats
)

func (f *fixedGuard) Stats() bounds.GuardStats { return bounds.GuardStats(*f) }
func (f *fixedProxy) Stats() proxyproto.Stats  { return proxyproto.Stats(*f) }

// Every number of the door's Stats is in the scrape, under a name of its own that
// follows the conventions.
func TestEveryFigureOfTheDoorIsShown(t *testing.T) {
	guard, proxy := new(fixedGuard), new(fixedProxy)
	for _, one := range []struct {
		stats     any
		collector prometheus.Collector
		label     string
	}{
		{guard, NewGuard("front", guard), `guard="front"`},
		{proxy, NewProxy("front", proxy), `proxy="front"`},
	} {
		names := number(one.stats, 101)
		require.NotEmpty(t, names)
		page := scrape(t, one.collector)
		for i, name := range names {
			require.Contains(t, page, fmt.Sprintf(" %d\n", 101+i), name)
		}
		require.Contains(t, page, one.label)
		problems, err := testutil.CollectAndLint(one.collector)
		require.NoError(t, err)
		require.Empty(t, problems)
	}
}

// Real ones, and two of them in one registry.
func TestScrapeOfTheDoor(t *testing.T) {
	g, err := bounds.NewGuard(bounds.GuardConfig{Conns: 1, Accepts: 1, Crowd: 2})
	require.NoError(t, err)
	for _, addr := range []string{"10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3"} {
		g.Enter(netip.MustParseAddr(addr), timer.Time(1))
	}
	page := scrape(t, NewGuard("front", g))
	for _, want := range []string{
		`weir_guard_let_in_total{guard="front"} 2`,
		`weir_guard_sources{guard="front"} 2`,
		`weir_guard_refused_total{guard="front",reason="connections"} 1`,
		`weir_guard_refused_total{guard="front",reason="crowd"} 1`,
	} {
		require.Contains(t, page, want+"\n")
	}
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(NewGuard("front", g)))
	require.NoError(t, registry.Register(NewGuard("back", g)))
	require.NoError(t, registry.Register(NewProxy("front", new(proxyproto.Counters))))
	_, err = registry.Gather()
	require.NoError(t, err)
}
