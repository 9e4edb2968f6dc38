package metrics

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/restart"
)

// fixedRestart is a RestartSource that always says the same.
type fixedRestart struct {
	s    restart.Stats
	left chan struct{}
}

func (f *fixedRestart) Stats() restart.Stats  { return f.s }
func (f *fixedRestart) Left() <-chan struct{} { return f.left }

// Every number of the Stats is in the scrape, under a name of its own that follows
// the conventions.
func TestEveryFigureOfRestartIsShown(t *testing.T) {
	f := &fixedRestart{left: make(chan struct{})}
	names := number(&f.s, 101)
	c := NewRestart(f)
	requireShown(t, scrape(t, c), names, 101)
	require.Contains(t, scrape(t, c), "weir_restart_handed_over 0\n")
	problems, err := testutil.CollectAndLint(c)
	require.NoError(t, err)
	require.Empty(t, problems)

	close(f.left)
	require.Contains(t, scrape(t, c), "weir_restart_handed_over 1\n")
}

// Each count has the reason that is its own.
func TestReasonsOfRestart(t *testing.T) {
	page := scrape(t, NewRestart(&fixedRestart{s: restart.Stats{
		Generation: 1, Inherited: 2, Started: 3, Died: 4, Late: 5, Broken: 6, Busy: 7}}))
	for _, want := range []string{
		`weir_restart_generation 1`,
		`weir_restart_sockets_inherited 2`,
		`weir_restart_started_total 3`,
		`weir_restart_failed_total{reason="died"} 4`,
		`weir_restart_failed_total{reason="late"} 5`,
		`weir_restart_failed_total{reason="broken"} 6`,
		`weir_restart_refused_total 7`,
	} {
		require.Contains(t, page, want+"\n")
	}
}

// A scrape of real ones: a process that is not ready refuses to be replaced.
func TestScrapeOfRestart(t *testing.T) {
	s, err := restart.Begin(restart.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	require.ErrorIs(t, s.Restart(t.Context()), restart.ErrEarly)
	page := scrape(t, NewRestart(s))
	for _, want := range []string{"weir_restart_generation 0", "weir_restart_refused_total 1",
		"weir_restart_started_total 0", "weir_restart_handed_over 0"} {
		require.Contains(t, page, want+"\n")
	}
}
