package main

import (
	_ "embed"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/weir-go/weir/bench/internal/lateness"
	"github.com/weir-go/weir/bench/internal/proc"
	"github.com/weir-go/weir/bench/internal/report"
)

//go:embed sched.txt
var schedProse string

// schedArea measures package sched against other schedulers, all of them in a program of bench/rivals.
var schedArea = &area{
	word:    "sched",
	what:    "what a scheduled job costs, and how late it is",
	cases:   []string{"intervals", "pending", "skew", "drain"},
	measure: measureSched,
	metrics: []report.Metric{
		{Name: "cpu_per_fire", Unit: "ns", Title: "CPU ns/fire", Ratio: report.RatioColumn},
		{Name: "late", Unit: "%", Title: "late %"},
		{Name: "missed", Unit: "%", Title: "missed %"},
		{Name: "mean", Unit: "us", Title: "mean µs", Ratio: report.RatioColumn},
		{Name: "sigma", Unit: "us", Title: "σ"},
		{Name: "p50", Unit: "us", Title: "p50 µs"},
		{Name: "p99", Unit: "us", Title: "p99"},
		{Name: "p99.9", Unit: "us", Title: "p99.9", Ratio: report.RatioColumn},
		{Name: "max", Unit: "us", Title: "max"},
		{Name: "decided_p50", Unit: "us", Title: "decided: p50"},
		{Name: "decided_p99.9", Unit: "us", Title: "p99.9"},
		{Name: "setup", Unit: "ns", Title: "CPU ns/job to add"},
		{Name: "at_once", Unit: "ns", Title: "at once ns", Ratio: report.RatioColumn},
		{Name: "under_way", Unit: "ns", Title: "under way ns", Ratio: report.RatioColumn},
		{Name: "memory_per_pending", Unit: "B", Title: "B/pending"},
		{Name: "cpu", Unit: "ms", Title: "CPU ms"},
		{Name: "early", Unit: "%", Aside: true},
		{Name: "steal", Unit: "%", Aside: true},
		{Name: "other_load", Unit: "%", Aside: true},
	},
	names: report.Names{
		"std": "package time", "weir": "weir", "fine": "weir, Fine", "exact": "weir, Exact",
		"prompt": "weir, Exact, prompt", "short": "weir, prompt",
		"gocron": "gocron v2", "robfig": "robfig/cron", "quartz": "go-quartz",
		"skew-idle": "Jobs of 100 ms, idle", "skew-burnt": "Jobs of 100 ms, all cores burnt by other processes",
		"skew-inside": "Jobs of 100 ms, all Ps burnt inside the process",
		"skew-spare":  "Jobs of 100 ms, the same work on a spare.Pool",
		"skew-core":   "Jobs of 100 ms, on a spare.Pool that leaves a core free",
		"drain":       "To end while a body sleeps for 2 s",
	},
	prose:  schedProse,
	tables: schedTables,
	rounds: schedRounds,
	window: 3 * time.Second, quickWindow: time.Second, quickRounds: 1,
}

// schedRival is the program that measures itself.
var schedRival = rival{id: "sched", folder: "sched"}

// schedJob is what that program takes, and the others what it gives, by its Kind.
type (
	schedJob struct {
		Kind, Subject string
		N             int
		Period        time.Duration
		Lead          time.Duration // for intervals: before the first instant, besides what it takes to add the jobs
		Inside        int
		Spare         bool
		Warm, Window  time.Duration
	}
	schedFires struct {
		Due, Fires                                     uint64
		CPU, Late, Missed, P50, P99, P999, Most, Setup float64
		Overtaken                                      bool // the lead was too short
	}
	schedPairs struct{ AtOnce, UnderWay, Bytes, Setup float64 }
	schedSkews map[string]struct {
		Late, Decided []time.Duration
		Points, Early uint64
	}
	schedDrain struct{ CPU, Took float64 }
)

// schedRivals are of other makes.
var schedRivals = []string{"gocron", "robfig", "quartz"}

func measureSched(b *bench) error {
	if len(b.sources) > 0 {
		return errors.New("-source: no rival of this area takes one")
	}
	for _, id := range b.subjects {
		if !slices.Contains(append(schedRivals, "std", "weir", "fine", "exact", "prompt", "short"), id) {
			return fmt.Errorf("no subject is called %q", id)
		}
	}
	home, err := rivalsFolder()
	if err != nil {
		return err
	}
	binary, err := b.build(home, schedRival)
	if err != nil {
		return err
	}
	if b.rounds == 0 && !b.quick {
		b.rounds = 3 // five take longer than ten minutes
	}
	b.rounds = b.enough(3)
	for _, one := range []struct {
		name string
		run  func(*bench, string) error
	}{
		{"intervals", schedIntervals}, {"pending", schedPending}, {"skew", schedSkew}, {"drain", schedDrains},
	} {
		if b.wants(one.name) {
			if err := one.run(b, binary); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) schedSubjects(binary string, some ...string) (list []subject) {
	for _, id := range some {
		if len(b.subjects) == 0 || slices.Contains(b.subjects, id) {
			list = append(list, subject{id: id, command: []string{binary}})
		}
	}
	return list
}

// schedSizes are how many jobs of 1 s there are. The lateness of few is a matter of the clock, which is in skew.
func (b *bench) schedSizes() []int {
	if b.quick {
		return []int{1000}
	}
	return []int{1000, 10_000, 100_000}
}

func intervalsCase(n int) string { return fmt.Sprintf("intervals-%d", n) }

func schedIntervals(b *bench, binary string) error {
	for _, n := range b.schedSizes() {
		name := intervalsCase(n)
		b.names[name] = fmt.Sprintf("%s jobs of 1 s on one core", report.Number(float64(n)))
		rounds := b.rounds
		if n >= 10_000 {
			rounds = min(rounds, 2) // to add so many takes some of the subjects long
		}
		all := append([]string{"std", "weir", "short"}, schedRivals...)
		if n >= 100_000 {
			all = slices.DeleteFunc(all, func(id string) bool { return id == "quartz" })
			b.note("go-quartz with 100,000 jobs is not measured: to add a job takes it as long as there are jobs, minutes for so many")
		}
		subjects := b.schedSubjects(binary, all...)
		err := b.interleave(name, subjects, rounds, func(s subject) (*figures, error) {
			j := schedJob{Kind: "intervals", Subject: s.id, N: n, Period: time.Second, Warm: b.warm,
				Window: max(b.window.Truncate(time.Second), time.Second)}
			r, use, err := b.schedFires(s, j)
			if err != nil {
				return nil, err
			}
			f := &figures{disturbed: use.Disturbed(), values: map[string]float64{
				"late": 100 * r.Late, "missed": 100 * r.Missed, "setup": r.Setup}}
			if r.Fires > 0 {
				f.values["cpu_per_fire"] = r.CPU
				f.values["p50"], f.values["p99"] = r.P50/1e3, r.P99/1e3
				f.values["p99.9"], f.values["max"] = r.P999/1e3, r.Most/1e3
			}
			return f, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// schedFires gives the jobs more time to be added where the first instant came before: the machine was busy.
func (b *bench) schedFires(s subject, j schedJob) (r schedFires, use proc.Usage, err error) {
	for j.Lead = 500 * time.Millisecond; j.Lead < time.Minute; j.Lead *= 4 {
		r = schedFires{}
		use, err = b.askAt(b.onOneCore(), s.command, j, &r, j.Lead+j.Window+j.Warm+time.Minute)
		if err != nil || !r.Overtaken {
			return r, use, err
		}
	}
	return r, use, errors.New("the first instant came before the last job was added, however late it was")
}

func pendingCase(n int) string { return fmt.Sprintf("pending-%d", n) }

// schedPending has those that take long to add a shot with fewer of them.
func schedPending(b *bench, binary string) error {
	for _, c := range []struct {
		n        int
		subjects []string
	}{
		{10_000, append([]string{"std", "weir"}, schedRivals...)}, {1_000_000, []string{"std", "weir"}},
	} {
		if b.quick && c.n > 100_000 {
			continue
		}
		name := pendingCase(c.n)
		b.names[name] = fmt.Sprintf("Single shots, %s pending", report.Number(float64(c.n)))
		err := b.interleave(name, b.schedSubjects(binary, c.subjects...), b.rounds, func(s subject) (*figures, error) {
			j := schedJob{Kind: "pending", Subject: s.id, N: c.n, Window: b.window / 3}
			var r schedPairs
			use, err := b.ask(s.command, j, &r, 2*j.Window+time.Minute)
			if err != nil {
				return nil, err
			}
			return &figures{disturbed: use.Disturbed(), values: map[string]float64{"at_once": r.AtOnce, "under_way": r.UnderWay,
				"memory_per_pending": r.Bytes, "setup": r.Setup}}, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// schedLoads are those of the timer area.
var schedLoads = []load{idle, burnt, inside, spare, core}

// schedTicks is how many instants of 100 ms there are, as in the article's table. Inside the process the loads are as
// heavy as they are long: half as many.
func (b *bench) schedTicks(l load) int {
	switch {
	case b.quick:
		return int(b.window / articlePeriod)
	case l == idle || l == burnt:
		return articleTicks
	}
	return articleTicks / 3
}

// schedSkew measures all subjects at once.
func schedSkew(b *bench, binary string) error {
	for _, l := range schedLoads {
		if err := b.skewUnder(l, binary); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) skewUnder(l load, binary string) (err error) {
	j := schedJob{Kind: "skew", Period: articlePeriod, Warm: b.warm, Window: time.Duration(b.schedTicks(l)) * articlePeriod}
	switch l {
	case burnt:
		fires, err := b.light()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, fires.quench()) }()
	case inside, spare:
		j.Inside, j.Spare = runtime.NumCPU(), l == spare
	case core:
		j.Inside, j.Spare = max(1, runtime.NumCPU()-1), true
	}
	var r schedSkews
	if _, err := b.ask([]string{binary}, j, &r, j.Warm+j.Window+time.Minute); err != nil {
		return fmt.Errorf("skew, %s: %w", l, err)
	}
	name := "skew-" + string(l)
	for _, s := range b.schedSubjects(binary, append([]string{"std", "weir", "fine", "exact", "prompt"}, schedRivals...)...) {
		k := r[s.id]
		spread := lateness.SpreadOf(k.Late)
		share := func(n uint64) float64 { return 100 * float64(n) / float64(max(k.Points, 1)) }
		f := &figures{values: map[string]float64{"missed": share(k.Points - min(k.Points, uint64(len(k.Late)))), "early": share(k.Early),
			"mean": micros(spread.Mean()), "sigma": micros(spread.Sigma()), "p50": micros(spread.Quantile(0.5)),
			"p99": micros(spread.Quantile(0.99)), "p99.9": micros(spread.Quantile(0.999)), "max": micros(spread.Max())}}
		if len(k.Decided) > 0 {
			decided := lateness.SpreadOf(k.Decided)
			f.values["decided_p50"], f.values["decided_p99.9"] = micros(decided.Quantile(0.5)), micros(decided.Quantile(0.999))
		}
		b.keep(name, s.id, 1, f)
		b.show(name, 1, 1, s, f)
	}
	return nil
}

func schedDrains(b *bench, binary string) error {
	window := 2 * time.Second
	if b.quick {
		window = 300 * time.Millisecond
	}
	subjects := b.schedSubjects(binary, append([]string{"std", "weir"}, schedRivals...)...)
	return b.interleave("drain", subjects, b.rounds, func(s subject) (*figures, error) {
		var r schedDrain
		use, err := b.ask(s.command, schedJob{Kind: "drain", Subject: s.id, Window: window}, &r, window+time.Minute)
		if err != nil {
			return nil, err
		}
		if r.Took < 0.9*float64(window) {
			return nil, fmt.Errorf("ended after %v, with a body of %v", time.Duration(r.Took), window)
		}
		return &figures{disturbed: use.Disturbed(), values: map[string]float64{"cpu": r.CPU / 1e6}}, nil
	})
}

func schedRounds(b *bench) string {
	return fmt.Sprintf("%d of %v, after %v that are not counted; 10,000 jobs and more have two, and each load of the skew one, of %d instants idle and "+
		"burnt and %d inside", b.rounds, b.window, b.warm, b.schedTicks(idle), b.schedTicks(inside))
}
