package metrics

import (
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/saga"
)

// fixedIdem and fixedSaga always say the same.
type (
	fixedIdem idem.Stats
	fixedSaga saga.Stats
)

func (f *fixedIdem) Stats() idem.Stats { return idem.Stats(*f) }
func (f *fixedSaga) Stats() saga.Stats { return saga.Stats(*f) }

// Every number of both Stats is in the scrape.
func TestEveryFigureOfIdemAndSagaIsShown(t *testing.T) {
	i, s := new(fixedIdem), new(fixedSaga)
	for what, c := range map[string]struct {
		names []string
		by    prometheus.Collector
	}{"idem": {number(i, 101), NewIdem("orders", i)}, "saga": {number(s, 101), NewSaga("orders", s)}} {
		require.NotEmpty(t, c.names)
		page := scrape(t, c.by)
		seen := map[string]bool{}
		for line := range strings.Lines(page) {
			if !strings.HasPrefix(line, "#") {
				fields := strings.Fields(line)
				seen[fields[len(fields)-1]] = true
			}
		}
		for n, name := range c.names {
			require.True(t, seen[strconv.Itoa(101+n)], "%s: %s is missing from\n%s", what, name, page)
		}
		problems, err := testutil.CollectAndLint(c.by)
		require.NoError(t, err)
		require.Empty(t, problems)
	}
}

func TestScrapeOfAClientAndARunner(t *testing.T) {
	r := prometheus.NewRegistry()
	client := &idem.Client{Store: new(idem.Memory)}
	require.NoError(t, r.Register(NewIdem("orders", client)))
	require.NoError(t, r.Register(NewIdem("others", client)))
	require.Error(t, r.Register(NewIdem("orders", client)), "a name is registered once")
	require.NoError(t, r.Register(NewSaga("orders", new(fixedSaga))))
	families, err := r.Gather()
	require.NoError(t, err)
	require.NotEmpty(t, families)
}
