package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-go/weir/conn"
)

const (
	count = prometheus.CounterValue // only grows
	level = prometheus.GaugeValue   // as it is now
)

// figure is one number of the whole runtime.
type figure = row[conn.Stats]

var figures = []figure{
	{level, "connections", "", "Connections open now.",
		func(s *conn.Stats) float64 { return float64(s.Conns) }},
	{count, "connections_opened_total", "", "Connections opened: accepted, dialed and adopted ones.",
		func(s *conn.Stats) float64 { return float64(s.Opened) }},
	{count, "connections_closed_total", "", "Connections closed, whatever the cause.",
		func(s *conn.Stats) float64 { return float64(s.Closed) }},
	{count, "connections_accepted_total", "", "Connections accepted by listeners.",
		func(s *conn.Stats) float64 { return float64(s.Accepted) }},
	{count, "connections_dialed_total", "", "Connections dialed from here.",
		func(s *conn.Stats) float64 { return float64(s.Dialed) }},

	{count, "connections_cut_total", "idle", "Connections ended from here before they were done, by reason.",
		func(s *conn.Stats) float64 { return float64(s.IdleCloses) }},
	{count, "connections_cut_total", "slow", "",
		func(s *conn.Stats) float64 { return float64(s.SlowCloses) }},
	{count, "connections_cut_total", "abort", "",
		func(s *conn.Stats) float64 { return float64(s.Aborts) }},

	{level, "connections_lingering", "", "Connections closed from here that wait for their peer's end; open until then.",
		func(s *conn.Stats) float64 { return float64(s.Lingering) }},
	{count, "lingers_total", "", "Connections closed from here that waited for their peer's end.",
		func(s *conn.Stats) float64 { return float64(s.Lingered) }},
	{count, "lingers_cut_total", "time", "Closes that did not see their peer's end, by reason: it took too long, sent too much, or too many waited already.",
		func(s *conn.Stats) float64 { return float64(s.LingerTimeouts) }},
	{count, "lingers_cut_total", "bytes", "",
		func(s *conn.Stats) float64 { return float64(s.LingerOverruns) }},
	{count, "lingers_cut_total", "limit", "",
		func(s *conn.Stats) float64 { return float64(s.LingerRefusals) }},

	{count, "accepts_refused_total", "descriptors", "Peers turned away, by reason.",
		func(s *conn.Stats) float64 { return float64(s.RefusedFDs) }},
	{count, "accepts_refused_total", "limit", "",
		func(s *conn.Stats) float64 { return float64(s.RefusedLimit) }},
	{count, "accepts_refused_total", "bounds", "",
		func(s *conn.Stats) float64 { return float64(s.RefusedBounds) }},
	{count, "accepts_refused_total", "farewell", "",
		func(s *conn.Stats) float64 { return float64(s.Farewells) }},
	{count, "accepts_refused_total", "guard", "",
		func(s *conn.Stats) float64 { return float64(s.RefusedGuard) }},
	{count, "accepts_refused_total", "memory", "",
		func(s *conn.Stats) float64 { return float64(s.RefusedMemory) }},
	{count, "accepts_refused_total", "shutdown", "",
		func(s *conn.Stats) float64 { return float64(s.RefusedShutdown) }},
	{count, "accepts_refused_total", "handler", "",
		func(s *conn.Stats) float64 { return float64(s.RefusedHandler) }},
	{count, "accept_errors_total", "", "Errors that accept returned.",
		func(s *conn.Stats) float64 { return float64(s.AcceptErrors) }},

	{count, "read_bytes_total", "", "Bytes read from sockets.",
		func(s *conn.Stats) float64 { return float64(s.BytesRead) }},
	{count, "written_bytes_total", "", "Bytes that sockets took.",
		func(s *conn.Stats) float64 { return float64(s.BytesWritten) }},
	{count, "read_pauses_total", "", "Times that a connection was read no further because its input was at its limit.",
		func(s *conn.Stats) float64 { return float64(s.ReadPauses) }},
	{count, "writes_refused_total", "full", "Writes not taken whole: the connection was at its high mark, or all together at the budget.",
		func(s *conn.Stats) float64 { return float64(s.Full) }},
	{count, "writes_refused_total", "budget", "",
		func(s *conn.Stats) float64 { return float64(s.BudgetRefusals) }},
	{level, "budget_used_bytes", "", "Bytes that connections hold now: queued output and unconsumed input.",
		func(s *conn.Stats) float64 { return float64(s.BudgetUsed) }},
	{level, "budget_limit_bytes", "", "Bytes that connections may hold together.",
		func(s *conn.Stats) float64 { return float64(s.BudgetLimit) }},

	{count, "posts_refused_total", "", "Functions that a loop's queue had no room for.",
		func(s *conn.Stats) float64 { return float64(s.PostBusy) }},
	{level, "work_running", "", "Functions given to the pool that have not come back to their loop.",
		func(s *conn.Stats) float64 { return float64(s.Working) }},
	{count, "work_refused_total", "", "Functions that the pool had no room for.",
		func(s *conn.Stats) float64 { return float64(s.PoolBusy) }},
	{count, "panics_total", "", "Panics in handlers; each closed its connection.",
		func(s *conn.Stats) float64 { return float64(s.Panics) }},
	{count, "slow_callbacks_total", "", "Callbacks that held their loop longer than the watchdog allows.",
		func(s *conn.Stats) float64 { return float64(s.SlowCallbacks) }},
}

// loopFigure is one number of each loop.
type loopFigure struct {
	kind prometheus.ValueType
	name string
	help string
	read func(*conn.LoopStats) float64
}

var loopFigures = []loopFigure{
	{level, "connections", "Connections that the loop owns now.",
		func(s *conn.LoopStats) float64 { return float64(s.Conns) }},
	{count, "turns_total", "Turns: a wait and the work that it brought, or work that goroutines had left.",
		func(s *conn.LoopStats) float64 { return float64(s.Turns) }},
	{count, "parks_total", "Sleeps without a thread: of a loop that has little to do.",
		func(s *conn.LoopStats) float64 { return float64(s.Parks) }},
	{count, "events_total", "Readiness events that the kernel reported.",
		func(s *conn.LoopStats) float64 { return float64(s.Events) }},
	{count, "stale_events_total", "Events dropped because their connection had gone before.",
		func(s *conn.LoopStats) float64 { return float64(s.Stale) }},
	{count, "posted_total", "Functions that other goroutines handed to the loop.",
		func(s *conn.LoopStats) float64 { return float64(s.Posted) }},
	{count, "wakes_total", "Times that another goroutine woke the loop from its wait.",
		func(s *conn.LoopStats) float64 { return float64(s.Wakes) }},
	{count, "wakes_coalesced_total", "Wake-ups saved because the loop was awake, or being woken already.",
		func(s *conn.LoopStats) float64 { return float64(s.WakesCoalesced) }},
	{count, "timers_total", "Timers that fired.",
		func(s *conn.LoopStats) float64 { return float64(s.Timers) }},
	{level, "timers_set", "Timers that are set.",
		func(s *conn.LoopStats) float64 { return float64(s.TimersSet) }},
	{count, "slow_turns_total", "Turns that took longer than one callback may.",
		func(s *conn.LoopStats) float64 { return float64(s.SlowTurns) }},
}

// loopHistogram is one histogram of each loop.
type loopHistogram struct {
	name   string
	help   string
	bounds powers
	read   func(*conn.LoopStats) *conn.Histogram
}

var loopHistograms = []loopHistogram{
	{"turn_seconds", "Time that a turn worked, its wait not counted.", turnTime,
		func(s *conn.LoopStats) *conn.Histogram { return &s.TurnTime }},
	{"turn_events", "Events that one wait returned.", turnEvents,
		func(s *conn.LoopStats) *conn.Histogram { return &s.TurnEvents }},
}
