package metrics

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-go/weir/sched"
)

// SchedSource is what a Sched collector reads; *sched.Scheduler is one. Stats
// must be safe to call from any goroutine.
type SchedSource interface {
	Stats() sched.Stats
}

// Sched is a prometheus.Collector over the counters of one sched.Scheduler. It
// may be scraped from any goroutine, also after its scheduler was closed.
//
// How late jobs are is a histogram in two stages: "decide", from the instant
// until it was decided what to do, which is the clock's part, and "start", from
// there until the body began, which is what queues, resources and workers take.
// What came up before its instant waits on, and is counted apart as early. Its
// labels are the type of the job and the queue, and the Scheduler has no more than
// sched.Config.Series of them: those that come later are "other". Jobs without a
// queue are in "default", or, where there is a queue of that name, in one without a
// name.
type Sched struct {
	source    SchedSource
	figures   []*prometheus.Desc // a row of the table each
	queues    []*prometheus.Desc // likewise
	resources []*prometheus.Desc
	instants  *prometheus.Desc
	outcomes  *prometheus.Desc
	skew      *prometheus.Desc
	early     *prometheus.Desc
}

// NewSched makes a collector that labels everything it reads from source with
// scheduler=name. Within a registry a name can be registered once.
func NewSched(name string, source SchedSource) *Sched {
	label := prometheus.Labels{"scheduler": name}
	desc := func(name, help string, by ...string) *prometheus.Desc {
		return prometheus.NewDesc("weir_sched_"+name, help, by, label)
	}
	c := &Sched{source: source,
		instants: desc("instants_total", "Due instants by what became of them, and why.", "outcome", "reason"),
		outcomes: desc("job_instants_total", "Due instants by the type of their job, its queue, and what became of them.",
			"job_type", "queue", "outcome"),
		skew: desc("skew_seconds", "How late jobs were: from the instant to the decision (decide), and on to the body (start).",
			"job_type", "queue", "stage"),
		early: desc("early_total", "Times that a job came up before its instant, which was waited for again.", "job_type", "queue"),
	}
	for _, f := range schedFigures {
		c.figures = append(c.figures, desc(f.name, f.help))
	}
	for _, f := range queueFigures {
		c.queues = append(c.queues, desc("queue_"+f.name, f.help, "queue"))
	}
	for _, f := range resourceFigures {
		c.resources = append(c.resources, desc("resource_"+f.name, f.help, "resource"))
	}
	return c
}

type schedFigure[T any] struct {
	kind prometheus.ValueType
	name string
	help string
	read func(*T) float64
}

var schedFigures = []schedFigure[sched.Stats]{
	{level, "tasks", "Tasks that were added and have not gone.",
		func(s *sched.Stats) float64 { return float64(s.Tasks) }},
	{level, "runs_waiting", "Runs that have not begun.",
		func(s *sched.Stats) float64 { return float64(s.Waiting) }},
	{level, "runs_running", "Bodies that run now, orphans included.",
		func(s *sched.Stats) float64 { return float64(s.Running) }},
	{level, "runs_retrying", "Runs between two tries.",
		func(s *sched.Stats) float64 { return float64(s.Retrying) }},
	{level, "orphans", "Bodies that go on although their context has ended.",
		func(s *sched.Stats) float64 { return float64(s.Orphans) }},
	{level, "workers", "Goroutines that run bodies.",
		func(s *sched.Stats) float64 { return float64(s.Workers) }},
	{count, "ledger_lines_total", "Lines written to the ledger.",
		func(s *sched.Stats) float64 { return float64(s.Lines) }},
	{count, "ledger_forgotten_total", "Lines that the ledger does not keep any more.",
		func(s *sched.Stats) float64 { return float64(s.Forgotten) }},
	{count, "refusals_total", "Tasks and runs that a caller was refused for want of room.",
		func(s *sched.Stats) float64 { return float64(s.Refused) }},
	{count, "pool_refusals_total", "Times that the pool did not take a worker.",
		func(s *sched.Stats) float64 { return float64(s.NoWorker) }},
	{count, "tries_total", "Tries of bodies.",
		func(s *sched.Stats) float64 { return float64(s.Tries) }},
	{count, "panics_total", "Panics of bodies, of triggers, and of who is told the ledger's lines.",
		func(s *sched.Stats) float64 { return float64(s.Panics) }},
	{count, "ends_lost_total", "Ends of runs that a guard or a state did not take.",
		func(s *sched.Stats) float64 { return float64(s.Lost) }},
	{count, "wakes_total", "Times that the clock woke the scheduler.",
		func(s *sched.Stats) float64 { return float64(s.Wakes) }},
	{count, "steps_total", "Times that the wall clock was set.",
		func(s *sched.Stats) float64 { return float64(s.Steps) }},
}

var queueFigures = []schedFigure[sched.QueueStats]{
	{level, "waiting", "Runs of the queue that have not begun.",
		func(q *sched.QueueStats) float64 { return float64(q.Waiting) }},
	{level, "capacity", "Runs that may wait in the queue.",
		func(q *sched.QueueStats) float64 { return float64(q.Capacity) }},
	{level, "running", "Runs of the queue that run now.",
		func(q *sched.QueueStats) float64 { return float64(q.Running) }},
	{level, "blocked", "Producers that wait for room in the queue.",
		func(q *sched.QueueStats) float64 { return float64(q.Blocked) }},
	{level, "paused", "1 if the queue is paused.",
		func(q *sched.QueueStats) float64 {
			if q.Paused {
				return 1
			}
			return 0
		}},
}

var resourceFigures = []schedFigure[sched.ResourceStats]{
	{level, "tokens", "How many of the resource there are.",
		func(r *sched.ResourceStats) float64 { return float64(r.N) }},
	{level, "free", "How many of them are free.",
		func(r *sched.ResourceStats) float64 { return float64(r.Free) }},
	{level, "waiting", "Runs that wait for the resource.",
		func(r *sched.ResourceStats) float64 { return float64(r.Waiting) }},
}

// Describe implements prometheus.Collector.
func (c *Sched) Describe(to chan<- *prometheus.Desc) {
	for _, d := range slices.Concat(c.figures, c.queues, c.resources) {
		to <- d
	}
	to <- c.instants
	to <- c.outcomes
	to <- c.skew
	to <- c.early
}

// Collect implements prometheus.Collector.
func (c *Sched) Collect(to chan<- prometheus.Metric) {
	s := c.source.Stats()
	show(to, c.figures, schedFigures, &s)
	unnamed := unnamed(s.Queues)
	for i := range s.Queues {
		show(to, c.queues, queueFigures, &s.Queues[i], cmp.Or(s.Queues[i].Name, unnamed))
	}
	for i := range s.Resources {
		show(to, c.resources, resourceFigures, &s.Resources[i], s.Resources[i].Name)
	}
	c.byReason(to, &s)
	for i := range s.Series {
		if x := &s.Series[i]; *x != (sched.Series{Type: x.Type, Queue: x.Queue}) { // something was
			c.series(to, x, cmp.Or(x.Queue, unnamed))
		}
	}
}

func show[T any](to chan<- prometheus.Metric, descs []*prometheus.Desc, figures []schedFigure[T], s *T, labels ...string) {
	for i, f := range figures {
		to <- prometheus.MustNewConstMetric(descs[i], f.kind, f.read(s), labels...)
	}
}

// unnamed is what the queue without a name is called, as Prometheus takes an empty
// label for none. Two of one name would be an error of the whole scrape.
func unnamed(queues []sched.QueueStats) string {
	const name = "default"
	if slices.ContainsFunc(queues, func(q sched.QueueStats) bool { return q.Name == name }) {
		return ""
	}
	return name
}

// byReason shows what became of instants. An outcome that has not been has one
// series all the same, so that a rate can be told from its beginning.
func (c *Sched) byReason(to chan<- prometheus.Metric, s *sched.Stats) {
	var seen [len(sched.Series{}.Outcomes)]bool
	s.Each(func(o sched.Outcome, r sched.Reason, n uint64) bool {
		seen[o] = seen[o] || r == sched.NoReason
		to <- prometheus.MustNewConstMetric(c.instants, count, float64(n), o.String(), r.String())
		return true
	})
	for o, there := range seen {
		if !there {
			to <- prometheus.MustNewConstMetric(c.instants, count, 0, sched.Outcome(o).String(), "")
		}
	}
}

// series shows what was measured of one type of job in one queue. Outcomes that
// it has not had are left out.
func (c *Sched) series(to chan<- prometheus.Metric, x *sched.Series, queue string) {
	for o, n := range x.Outcomes {
		if n > 0 {
			to <- prometheus.MustNewConstMetric(c.outcomes, count, float64(n), x.Type, queue, sched.Outcome(o).String())
		}
	}
	to <- lateBy(c.skew, &x.Decided, x.Type, queue, "decide")
	to <- lateBy(c.skew, &x.Began, x.Type, queue, "start")
	to <- prometheus.MustNewConstMetric(c.early, count, float64(x.Early), x.Type, queue)
}

func lateBy(d *prometheus.Desc, k *sched.Skew, labels ...string) prometheus.Metric {
	upTo := map[float64]uint64{}
	for most, n := range k.Buckets {
		upTo[most.Seconds()] = n
	}
	return prometheus.MustNewConstHistogram(d, k.Count, k.Sum.Seconds(), upTo, labels...)
}
