package metrics

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/timer"
)

// fixedClock is a ClockSource that always says the same.
type fixedClock timer.ClockStats

func (f *fixedClock) Stats() timer.ClockStats { return timer.ClockStats(*f) }

// Every number of ClockStats is in the scrape, under a name of its own.
func TestEveryClockFigureIsShown(t *testing.T) {
	s := new(fixedClock)
	names := number(s, 101)
	require.NotEmpty(t, names)
	page := scrape(t, NewClock("main", s))
	seen := map[string]bool{}
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "#") {
			fields := strings.Fields(line)
			seen[fields[len(fields)-1]] = true
		}
	}
	for i, name := range names {
		want := prometheusNumber(name, 101+i)
		require.True(t, seen[want], "%s (%s) is missing from\n%s", name, want, page)
	}
}

// prometheusNumber is how a scrape writes the value: durations in seconds.
func prometheusNumber(name string, v int) string {
	if name == "Spun" || name == "Suspended" {
		return strconv.FormatFloat(time.Duration(v).Seconds(), 'g', -1, 64)
	}
	return strconv.Itoa(v)
}

func TestClockNamesFollowTheConventions(t *testing.T) {
	problems, err := testutil.CollectAndLint(NewClock("main", new(fixedClock)))
	require.NoError(t, err)
	require.Empty(t, problems)
}

// A real clock's lateness adds up.
func TestScrapeOfAClock(t *testing.T) {
	c, err := timer.NewClock(timer.ClockConfig{Precision: timer.Fine})
	require.NoError(t, err)
	for range 20 {
		<-c.After(100 * time.Microsecond)
	}
	r := prometheus.NewRegistry()
	require.NoError(t, r.Register(NewClock("main", c)))
	require.NoError(t, r.Register(NewClock("other", c)))
	require.Error(t, r.Register(NewClock("main", c)), "a name is registered once")
	families, err := r.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() != "weir_clock_late_seconds" {
			continue
		}
		h := f.GetMetric()[0].GetHistogram()
		require.Equal(t, c.Stats().Late.Count, h.GetSampleCount())
		require.NotZero(t, h.GetSampleCount())
		var before uint64
		for _, b := range h.GetBucket() {
			require.GreaterOrEqual(t, b.GetCumulativeCount(), before)
			before = b.GetCumulativeCount()
		}
		require.Len(t, h.GetBucket(), 21)
		require.LessOrEqual(t, before, h.GetSampleCount())
		require.Positive(t, h.GetSampleSum())
	}
	require.NoError(t, c.Close())
	require.Contains(t, scrape(t, NewClock("main", c)), `precision="fine"`)
}

// A ticker's scrape has each of its counters, and the three places of lateness.
func TestScrapeOfATicker(t *testing.T) {
	c, err := timer.NewClock(timer.ClockConfig{})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	tk, err := c.NewTicker(timer.TickerConfig{Period: 100 * time.Microsecond})
	require.NoError(t, err)
	_, err = tk.Wait(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool { return tk.Stats().Unread > 0 }, 20*time.Second, time.Millisecond)
	tk.Stop()
	collector := NewTicker("main", tk)
	problems, err := testutil.CollectAndLint(collector)
	require.NoError(t, err)
	require.Empty(t, problems)
	page := scrape(t, collector)
	s := tk.Stats()
	for _, want := range []string{
		`weir_ticker_ticks_total{ticker="main"} ` + strconv.FormatUint(s.Ticks, 10),
		`weir_ticker_skipped_total{reason="late",ticker="main"} ` + strconv.FormatUint(s.Late, 10),
		`weir_ticker_skipped_total{reason="unread",ticker="main"} ` + strconv.FormatUint(s.Unread, 10),
		`weir_ticker_late_seconds_count{place="call",ticker="main"} ` + strconv.FormatUint(s.Ticks, 10),
		`place="wake"`, `place="take"`,
	} {
		require.Contains(t, page, want)
	}
}
