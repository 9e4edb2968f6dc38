package metrics

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/sched/schedtest"
)

// fixedSched is a SchedSource that always says the same.
type fixedSched sched.Stats

func (f *fixedSched) Stats() sched.Stats { return sched.Stats(*f) }

// Every number of Stats, and of what it lists, is in the scrape.
func TestEverySchedFigureIsShown(t *testing.T) {
	s := new(fixedSched)
	var queue sched.QueueStats
	var resource sched.ResourceStats
	names := number(s, 101)
	names = append(names, number(&queue, 101+int64(len(names)))...)
	names = append(names, number(&resource, 101+int64(len(names)))...)
	require.Greater(t, len(names), 20)
	queue.Name, resource.Name, queue.Paused = "q", "r", true
	s.Queues, s.Resources = []sched.QueueStats{queue}, []sched.ResourceStats{resource}
	page := scrape(t, NewSched("main", s))
	seen := map[string]bool{}
	for line := range strings.Lines(page) {
		if fields := strings.Fields(line); !strings.HasPrefix(line, "#") {
			seen[fields[len(fields)-1]] = true
		}
	}
	for i, name := range names {
		want := prometheusNumber(name, 101+i)
		require.True(t, seen[want], "%s (%s) is missing from\n%s", name, want, page)
	}
	require.Contains(t, page, `weir_sched_queue_paused{queue="q",scheduler="main"} 1`)
}

// ran is a scheduler that has run: a minute of one job each second, half of whose
// runs fail, a stall, and a job that is in nobody's queue.
func ran(t *testing.T, series int) *sched.Scheduler {
	t.Helper()
	clock := schedtest.NewClock(time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC))
	s, err := sched.New(sched.Config{Clock: clock, Series: series, Queues: []sched.Queue{{Name: "mail"}},
		Resources: []sched.Resource{{Name: "db", N: 20}}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.Background())) })
	body := func(_ context.Context, f sched.Fire) error {
		if f.Instant.Time().Second()%2 == 1 {
			return errors.New("odd")
		}
		return nil
	}
	for _, j := range []sched.Job{
		{Name: "a", Type: "report", Queue: "mail", Trigger: sched.Every{Period: time.Second}},
		{Name: "b", Type: "sweep", Trigger: sched.Every{Period: 10 * time.Second}},
	} {
		j.Do = body
		_, err := s.Add(t.Context(), j)
		require.NoError(t, err)
	}
	for range 60 {
		clock.Advance(time.Second)
		require.NoError(t, s.Wait(t.Context()))
	}
	clock.Stall(30 * time.Second)
	require.NoError(t, s.Wait(t.Context()))
	return s
}

// The histograms say what the ledger says, and buckets add up.
func TestScrapeOfAScheduler(t *testing.T) {
	s := ran(t, 0)
	r := prometheus.NewRegistry()
	require.NoError(t, r.Register(NewSched("main", s)))
	require.NoError(t, r.Register(NewSched("other", s)))
	require.Error(t, r.Register(NewSched("main", s)), "a name is registered once")
	page := scrape(t, NewSched("main", s))
	for _, want := range []string{
		`weir_sched_instants_total{outcome="ran",reason="",scheduler="main"} `,
		`weir_sched_instants_total{outcome="failed",reason="error",scheduler="main"} `,
		`weir_sched_instants_total{outcome="orphaned",reason="",scheduler="main"} 0`,
		`weir_sched_job_instants_total{job_type="report",outcome="failed",queue="mail",scheduler="main"} 30`,
		`weir_sched_job_instants_total{job_type="report",outcome="ran",queue="mail",scheduler="main"} 31`,
		`weir_sched_job_instants_total{job_type="report",outcome="coalesced",queue="mail",scheduler="main"} 29`,
		`weir_sched_job_instants_total{job_type="sweep",outcome="ran",queue="default",scheduler="main"} 7`,
		`weir_sched_resource_free{resource="db",scheduler="main"} 20`,
		`weir_sched_early_total{job_type="report",queue="mail",scheduler="main"} 0`,
		`weir_sched_tasks{scheduler="main"} 2`,
	} {
		require.Contains(t, page, want)
	}
	families, err := r.Gather()
	require.NoError(t, err)
	seen := 0
	for _, f := range families {
		if f.GetName() != "weir_sched_skew_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			seen++
			h := m.GetHistogram()
			require.NotZero(t, h.GetSampleCount())
			var before uint64
			for _, b := range h.GetBucket() {
				require.GreaterOrEqual(t, b.GetCumulativeCount(), before)
				before = b.GetCumulativeCount()
			}
			require.Equal(t, h.GetSampleCount(), before, "all of it is below the last bound")
			first, last := h.GetBucket()[0].GetUpperBound(), h.GetBucket()[len(h.GetBucket())-1].GetUpperBound()
			require.LessOrEqual(t, first, 0.001)
			require.GreaterOrEqual(t, last, 60.)
		}
	}
	require.Equal(t, 2*2*2, seen) // types, stages, names
}

// However many types there are, there are no more series than are allowed.
func TestSeriesAreBounded(t *testing.T) {
	page := scrape(t, NewSched("main", ran(t, 2))) // one is that of jobs that say nothing
	require.Contains(t, page, `weir_sched_skew_seconds_count{job_type="report",queue="mail",scheduler="main",stage="start"} `)
	require.Contains(t, page, `weir_sched_skew_seconds_count{job_type="other",queue="other",scheduler="main",stage="start"} `)
	require.NotContains(t, page, "sweep")
}

func TestSchedNamesFollowTheConventions(t *testing.T) {
	problems, err := testutil.CollectAndLint(NewSched("main", ran(t, 0)))
	require.NoError(t, err)
	require.Empty(t, problems)
}

// Prometheus' own tool has nothing to say against the page.
func TestPromtool(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian: package prometheus)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	check := func(page string) (string, error) {
		c := exec.CommandContext(ctx, tool, "check", "metrics")
		c.Stdin = strings.NewReader(page)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	page := scrape(t, NewSched("main", ran(t, 0)))
	said, err := check(page)
	require.NoError(t, err, said)
	require.Empty(t, said)
	_, err = check(strings.ReplaceAll(page, "_seconds", "_ms")) // it does look
	require.Error(t, err)
}

// A queue may be called as the one without a name is, and what jobs call
// themselves is a label or refused.
func TestQueueCalledDefault(t *testing.T) {
	clock := schedtest.NewClock(time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC))
	s, err := sched.New(sched.Config{Clock: clock, Apart: -1, Queues: []sched.Queue{{Name: "default"}}})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close(context.Background())) }()
	for _, queue := range []string{"", "default"} {
		_, err := s.Add(t.Context(), sched.Job{Queue: queue, Trigger: sched.Every{Period: time.Second},
			Do: func(context.Context, sched.Fire) error { return nil }})
		require.NoError(t, err)
	}
	clock.Advance(time.Second)
	require.NoError(t, s.Wait(t.Context()))
	r := prometheus.NewRegistry()
	require.NoError(t, r.Register(NewSched("main", s)))
	_, err = r.Gather()
	require.NoError(t, err)
	_, err = s.Add(t.Context(), sched.Job{Type: "\xff", Do: func(context.Context, sched.Fire) error { return nil }})
	require.ErrorIs(t, err, sched.ErrConfig)
}
