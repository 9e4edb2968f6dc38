package metrics

import (
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/breaker"
)

type fixedBreakers struct{ s breaker.Stats }

func (f *fixedBreakers) Stats() breaker.Stats { return f.s }

// Every number of the Stats is in the scrape, under a name of its own.
func TestEveryFigureOfBreakersIsShown(t *testing.T) {
	f := new(fixedBreakers)
	names := number(&f.s, 101)
	requireShown(t, scrape(t, NewBreakers("main", f)), names, 101)
	problems, err := testutil.CollectAndLint(NewBreakers("main", f))
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestScrapeOfBreakers(t *testing.T) {
	b := breaker.New(breaker.Config{Calls: 1})
	for range 3 {
		b.Do("shop:443", func() error { return errors.New("down") })
	}
	require.NoError(t, b.Do("bank:443", func() error { return nil }))
	page := scrape(t, NewBreakers("main", b))
	for _, want := range []string{
		`weir_breaker_destinations{breakers="main"} 2`,
		`weir_breaker_destinations_open{breakers="main"} 1`,
		`weir_breaker_opened_total{breakers="main"} 1`,
		`weir_breaker_calls_refused_total{breakers="main"} 2`,
	} {
		require.Contains(t, page, want+"\n")
	}
}
