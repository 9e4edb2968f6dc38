package metrics

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// Every number of the Stats is in the scrape, under the name that is its own and
// follows the conventions.
func TestEveryFigureOfTwinsIsShown(t *testing.T) {
	var s TwinStats
	names := number(&s, 101)
	c := NewTwins("shop", func() TwinStats { return s })
	page := scrape(t, c)
	requireShown(t, page, names, 101)
	s = TwinStats{Now: 1, Followed: 2, Refused: 3, Returned: 4, Calls: 5}
	page = scrape(t, c)
	for _, want := range []string{
		`weir_twin_streams{client="shop"} 1`,
		`weir_twin_followed_total{client="shop"} 2`,
		`weir_twin_refused_total{client="shop"} 3`,
		`weir_twin_returned_total{client="shop"} 4`,
		`weir_twin_calls_total{client="shop"} 5`,
	} {
		require.Contains(t, page, want+"\n")
	}
	problems, err := testutil.CollectAndLint(c)
	require.NoError(t, err)
	require.Empty(t, problems)
}
