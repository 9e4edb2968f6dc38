package metrics

import (
	"github.com/weir-go/weir/restart"
)

// RestartSource is what a Restart collector reads; *restart.Sockets is one. Its
// methods must be safe to call from any goroutine.
type RestartSource interface {
	Stats() restart.Stats
	Left() <-chan struct{} // closed when a successor has the sockets
}

// Restart is a prometheus.Collector over a process's predecessors and successors.
// It may be scraped from any goroutine, also after its sockets were closed.
//
// Who scrapes an address that is handed over as well reads the new process once it
// is ready, and its counts begin at zero: there a successor that was ready shows as
// a generation that has gone up. Before, while both accept, it may be either.
type Restart struct{ collector[handover] }

// handover is what is read at a scrape.
type handover struct {
	restart.Stats
	left bool
}

// NewRestart makes a collector of what source has counted. A process has one set of
// sockets, so its figures have no label with a name.
func NewRestart(source RestartSource) *Restart {
	return &Restart{collects("weir_restart_", "", "", func() handover {
		h := handover{Stats: source.Stats()}
		select {
		case <-source.Left():
			h.left = true
		default:
		}
		return h
	}, restartFigures)}
}

var restartFigures = []row[handover]{
	{level, "generation", "", "Processes that there were before this one.",
		func(h *handover) float64 { return float64(h.Generation) }},
	{level, "sockets_inherited", "", "Sockets that this process was given when it began.",
		func(h *handover) float64 { return float64(h.Inherited) }},
	{level, "handed_over", "", "1 if a successor was ready and has the sockets, otherwise 0.",
		func(h *handover) float64 { return one(h.left) }},
	{count, "started_total", "", "Successors that were started.",
		func(h *handover) float64 { return float64(h.Started) }},
	{count, "failed_total", "died", "Restarts that failed, by reason: the successor ended before it was ready, was not ready in time, or could not be started.",
		func(h *handover) float64 { return float64(h.Died) }},
	{count, "failed_total", "late", "",
		func(h *handover) float64 { return float64(h.Late) }},
	{count, "failed_total", "broken", "",
		func(h *handover) float64 { return float64(h.Broken) }},
	{count, "refused_total", "", "Restarts that were refused: one was under way, the process was not ready itself, or had a successor already.",
		func(h *handover) float64 { return float64(h.Busy) }},
}
