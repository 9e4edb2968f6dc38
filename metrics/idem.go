package metrics

import (
	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/saga"
)

// IdemSource is what an Idem collector reads; *idem.Client is one. Stats must be
// safe to call from any goroutine.
type IdemSource interface {
	Stats() idem.Stats
}

// Idem is a prometheus.Collector over the counters of one idem.Client. It may be
// scraped from any goroutine. The figures to have an alarm on are those of
// weir_idem_suspected_total: each may be something that was done twice.
type Idem struct{ collector[idem.Stats] }

// NewIdem makes a collector that labels everything it reads from source with
// client=name. Within a registry a name can be registered once.
func NewIdem(name string, source IdemSource) *Idem {
	return &Idem{collects("weir_idem_", "client", name, source.Stats, idemFigures)}
}

// SagaSource is what a Saga collector reads; *saga.Runner is one. Stats must be
// safe to call from any goroutine.
type SagaSource interface {
	Stats() saga.Stats
}

// Saga is a prometheus.Collector over the counters of one saga.Runner. It may be
// scraped from any goroutine, also after its runner was closed.
type Saga struct{ collector[saga.Stats] }

// NewSaga makes a collector that labels everything it reads from source with
// runner=name. Within a registry a name can be registered once.
func NewSaga(name string, source SagaSource) *Saga {
	return &Saga{collects("weir_saga_", "runner", name, source.Stats, sagaFigures)}
}

var idemFigures = []row[idem.Stats]{
	{count, "runs_total", "", "Functions that were run.",
		func(s *idem.Stats) float64 { return float64(s.Ran) }},
	{count, "replays_total", "", "Results and failures of other calls that were given.",
		func(s *idem.Stats) float64 { return float64(s.Replayed) }},
	{count, "busy_total", "", "Calls that found their key busy.",
		func(s *idem.Stats) float64 { return float64(s.Busy) }},
	{level, "waiting", "", "Calls that wait for a busy key.",
		func(s *idem.Stats) float64 { return float64(s.Waiting) }},

	{count, "refused_total", "waiters", "Calls that were refused, by reason: too many wait, the key was used for another request, nobody knows whether it happened, too many owners died, the store did not answer.",
		func(s *idem.Stats) float64 { return float64(s.Refused) }},
	{count, "refused_total", "mismatch", "",
		func(s *idem.Stats) float64 { return float64(s.Mismatch) }},
	{count, "refused_total", "unknown", "",
		func(s *idem.Stats) float64 { return float64(s.Unknown) }},
	{count, "refused_total", "stuck", "",
		func(s *idem.Stats) float64 { return float64(s.Stuck) }},
	{count, "refused_total", "unavailable", "",
		func(s *idem.Stats) float64 { return float64(s.Unavailable) }},

	{count, "suspected_total", "lost", "Runs that may have had their effect a second time, by reason: another owner had the record when they ended, the record had gone, or they ran without one.",
		func(s *idem.Stats) float64 { return float64(s.Lost) }},
	{count, "suspected_total", "healed", "",
		func(s *idem.Stats) float64 { return float64(s.Healed) }},
	{count, "suspected_total", "unguarded", "",
		func(s *idem.Stats) float64 { return float64(s.Unguarded) }},

	{count, "conflicts_total", "", "Runs that ended when a person had ended their record.",
		func(s *idem.Stats) float64 { return float64(s.Conflict) }},
	{count, "released_total", "", "Keys freed because the effect surely did not happen.",
		func(s *idem.Stats) float64 { return float64(s.Released) }},
	{count, "taken_over_total", "", "Records taken over from owners that died.",
		func(s *idem.Stats) float64 { return float64(s.TakenOver) }},
	{count, "panics_total", "", "Functions that did not return.",
		func(s *idem.Stats) float64 { return float64(s.Panicked) }},
	{count, "omitted_total", "", "Results that were too large to be kept.",
		func(s *idem.Stats) float64 { return float64(s.Omitted) }},
	{count, "fenced_total", "", "Functions whose context was ended because the lease was about to.",
		func(s *idem.Stats) float64 { return float64(s.Fenced) }},
	{count, "unrecorded_total", "", "Functions that ended and the store could not be told.",
		func(s *idem.Stats) float64 { return float64(s.Unrecorded) }},
	{count, "resent_total", "", "Questions to the store that were not answered.",
		func(s *idem.Stats) float64 { return float64(s.Resent) }},
	{count, "abandoned_total", "", "Records left to their lease because the store did not answer.",
		func(s *idem.Stats) float64 { return float64(s.Abandoned) }},
	{count, "heartbeats_total", "", "Leases renewed, or tried to.",
		func(s *idem.Stats) float64 { return float64(s.Heartbeats) }},
	{count, "heartbeats_missed_total", "", "Heartbeats that were not answered.",
		func(s *idem.Stats) float64 { return float64(s.Missed) }},
}

var sagaFigures = []row[saga.Stats]{
	{count, "begun_total", "", "Sagas begun.",
		func(s *saga.Stats) float64 { return float64(s.Begun) }},
	{count, "recovered_total", "", "Open sagas taken over at a start.",
		func(s *saga.Stats) float64 { return float64(s.Recovered) }},
	{level, "running", "", "Sagas under way.",
		func(s *saga.Stats) float64 { return float64(s.Running) }},
	{count, "ended_total", "succeeded", "Sagas that ended, by reason; those that are stuck wait for a person.",
		func(s *saga.Stats) float64 { return float64(s.Succeeded) }},
	{count, "ended_total", "compensated", "",
		func(s *saga.Stats) float64 { return float64(s.Compensated) }},
	{count, "ended_total", "stuck", "",
		func(s *saga.Stats) float64 { return float64(s.Stuck) }},
	{count, "ended_total", "lost", "",
		func(s *saga.Stats) float64 { return float64(s.Lost) }},
	{count, "replays_total", "", "Calls for a saga that had ended.",
		func(s *saga.Stats) float64 { return float64(s.Replayed) }},
	{count, "refused_total", "", "Sagas refused because too many are under way.",
		func(s *saga.Stats) float64 { return float64(s.Refused) }},

	{count, "calls_total", "", "Tries of actions and compensations.",
		func(s *saga.Stats) float64 { return float64(s.Calls) }},
	{count, "doubts_total", "", "Tries of actions that left their effect unknown, or could be repeated.",
		func(s *saga.Stats) float64 { return float64(s.Doubts) }},
	{count, "failures_total", "", "Tries of compensations that did not succeed.",
		func(s *saga.Stats) float64 { return float64(s.Failures) }},
	{count, "panics_total", "", "Tries that did not return.",
		func(s *saga.Stats) float64 { return float64(s.Panics) }},
	{count, "timeouts_total", "", "Tries that ran out of time.",
		func(s *saga.Stats) float64 { return float64(s.Timeouts) }},
	{count, "empty_total", "", "Compensations of actions that surely had no effect.",
		func(s *saga.Stats) float64 { return float64(s.Empty) }},
	{count, "omitted_total", "", "Results that were too large to be kept.",
		func(s *saga.Stats) float64 { return float64(s.Omitted) }},
	{level, "orphans", "", "Calls that ignore the end of their context and run on.",
		func(s *saga.Stats) float64 { return float64(s.Orphans) }},

	{count, "log_writes_total", "", "Records written to the log.",
		func(s *saga.Stats) float64 { return float64(s.Writes) }},
	{count, "log_errors_total", "", "Writes to and reads from the log that failed.",
		func(s *saga.Stats) float64 { return float64(s.LogErrors) }},
}
