package metrics

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/bounds"
)

// fixedBounds is a BoundsSource that always says the same.
type fixedBounds bounds.Stats

func (f *fixedBounds) Stats() bounds.Stats { return bounds.Stats(*f) }

// Every number of bounds' Stats is in the scrape, under a name of its own, but
// for Taken, which is the sum over the classes.
func TestEveryFigureOfBoundsIsShown(t *testing.T) {
	s := new(fixedBounds)
	s.Resources = make([]bounds.ResourceStats, 1)
	s.Resources[0].Resource = bounds.Memory
	s.Resources[0].Entered = [bounds.States]uint64{0, 501, 502, 503}
	s.Resources[0].Refused[bounds.Server][bounds.Critical] = 504
	s.Resources[0].Refused[0][bounds.Shed] = 505
	s.Resources[0].State, s.Resources[0].Load, s.Verdict.Streams = bounds.Hard, 0.625, 0.375
	want := []string{" 0.625\n", " 0.375\n", `{resource="memory"} 3` + "\n",
		`state="shed"} 501`, `state="critical"} 502`, `state="hard"} 503`,
		`weir_bounds_refused_total{class="server",resource="memory",state="critical"} 504` + "\n",
		`weir_bounds_refused_total{class="call",resource="memory",state="shed"} 505` + "\n"}
	const stats = 101
	numbers := func(v any, from int64) {
		names := number(v, from)
		require.NotEmpty(t, names)
		for i, name := range names {
			if from != stats || name != "Taken" {
				want = append(want, fmt.Sprintf(" %d\n", from+int64(i)))
			}
		}
	}
	numbers((*bounds.Stats)(s), stats)
	numbers(&s.Resources[0], 201)
	for c := 1; c < bounds.Classes; c++ {
		numbers(&s.Classes[c], int64(300+10*c))
	}
	page := scrape(t, NewBounds(s))
	for _, w := range want {
		require.Contains(t, page, w)
	}
	require.NotContains(t, page, `class="none"`)
}

func TestBoundsNamesFollowTheConventions(t *testing.T) {
	problems, err := testutil.CollectAndLint(NewBounds(new(fixedBounds)))
	require.NoError(t, err)
	require.Empty(t, problems)
}

// A scrape of real ones.
func TestScrapeOfBounds(t *testing.T) {
	b, err := bounds.New(bounds.Config{Limit: 1000})
	require.NoError(t, err)
	defer b.Close()
	require.NoError(t, b.Take(bounds.Stream))
	b.Exhausted(bounds.Descriptors)
	require.Error(t, b.Take(bounds.Client))
	page := scrape(t, NewBounds(b))
	for _, want := range []string{
		`weir_bounds_descriptors{class="stream"} 1`,
		`weir_bounds_descriptors_refused_total{class="client"} 1`,
		`weir_bounds_state{resource="descriptors"} 3`,
		`weir_bounds_exhausted_total{resource="descriptors"} 1`,
		`weir_bounds_entered_total{resource="descriptors",state="hard"} 1`,
	} {
		require.True(t, strings.Contains(page, want+"\n"), "%s is missing from\n%s", want, page)
	}
}
