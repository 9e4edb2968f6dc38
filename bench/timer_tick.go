package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/weir-go/weir/bench/internal/lateness"
	"github.com/weir-go/weir/bench/internal/report"
)

// load is what the machine does while a ticker ticks.
type load string

const (
	idle   load = "idle"   // nothing
	burnt  load = "burnt"  // other processes compute, one a core
	inside load = "inside" // goroutines of the ticker's process compute, one a P
	spare  load = "spare"  // the same goroutines, on a spare.Pool
	core   load = "core"   // one fewer, so that a core is free, too
)

var tickLoads = []load{idle, burnt, inside, spare, core}

var loadNames = map[load]string{
	idle:   "idle",
	burnt:  "all cores burnt by other processes",
	inside: "all Ps burnt inside the process",
	spare:  "the same work on a spare.Pool",
	core:   "on a spare.Pool that leaves a core free",
}

// tickCase is one load and one period.
type tickCase struct {
	load   load
	period time.Duration
}

func (c tickCase) id() string { return fmt.Sprintf("%s-%v", c.load, c.period) }

func (c tickCase) String() string {
	return fmt.Sprintf("Ticks of %d ms, %s", c.period.Milliseconds(), loadNames[c.load])
}

// tickSubjects are the tickers that are measured under each load.
var tickSubjects = map[load][]string{
	idle:   {"std", "coarse", "fine", "exact", "channel"},
	burnt:  {"std", "coarse", "fine", "exact"},
	inside: {"std", "fine", "exact"},
	spare:  {"std", "fine", "exact"},
	core:   {"std", "fine", "exact"},
}

var tickPeriods = []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond}

// The article's table is of 600 ticks, 100 ms apart.
const (
	articlePeriod = 100 * time.Millisecond
	articleTicks  = 600
)

var articleSubjects = []string{"std", "fine", "exact"}

// timerTickers measures lateness under each load, at each period. The article's table is of the same measurements,
// only longer: where both are asked for, both come from the long ones.
func timerTickers(b *bench) error {
	for _, l := range tickLoads {
		for _, p := range tickPeriods {
			c := tickCase{l, p}
			subjects, window := b.plan(c)
			if subjects == nil {
				continue
			}
			if err := b.tick(c, subjects, window); err != nil {
				return err
			}
		}
	}
	return nil
}

// plan says who is measured in a case, and how long in each round; nobody when the command line does not ask for it.
// A quick run leaves out what takes long and is measured elsewhere.
func (b *bench) plan(c tickCase) ([]string, time.Duration) {
	article := b.wants("article") && c.period == articlePeriod && (c.load == idle || c.load == burnt)
	switch {
	case !article && !b.wants("ticker"):
		return nil, 0
	case b.quick && c.period == articlePeriod && c.load != idle && !article:
		return nil, 0
	case b.quick:
		return slices.DeleteFunc(slices.Clone(b.among(c)), func(id string) bool {
			return id == "channel" || id == "coarse" && c.load != idle
		}), b.window
	case article:
		ticks := (articleTicks + b.rounds - 1) / b.rounds
		return b.among(c), time.Duration(ticks) * articlePeriod
	}
	return b.among(c), b.window
}

// among are those that are measured in a case. At 100 ms the channel and Coarse under load are left out: a tick takes
// long there, and they say the same at 10 ms.
func (b *bench) among(c tickCase) []string {
	switch {
	case !b.wants("ticker"):
		return articleSubjects
	case c.period != articlePeriod:
		return tickSubjects[c.load]
	case c.load == idle:
		return []string{"std", "coarse", "fine", "exact"}
	}
	return articleSubjects
}

// pool is what one ticker did in all rounds of a case.
type pool struct {
	late                       [][]time.Duration // a list a round
	points, missed, unreported uint64
}

// tick measures one case. Quantiles are of the ticks of all rounds together: one round has too few for the rare ones.
func (b *bench) tick(c tickCase, subjects []string, window time.Duration) (err error) {
	j := lateness.Job{Period: c.period, Warm: b.warm, Window: window}
	switch c.load {
	case burnt:
		fires, err := b.light()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, fires.quench()) }()
		j.Burners = fires.pids()
	case inside, spare:
		j.Inside, j.Spare = runtime.NumCPU(), c.load == spare
	case core:
		j.Inside, j.Spare = max(1, runtime.NumCPU()-1), true
	}
	pools := map[string]*pool{}
	b.names[c.id()] = c.String()
	b.pools[c] = pools
	asked := b.called(subjects...)
	err = b.interleave(c.id(), asked, b.rounds, func(s subject) (*figures, error) {
		j := j
		j.Ticker = s.id
		if s.id == "coarse" { // no part of the article's table
			j.Window = min(window, b.window)
		}
		if pools[s.id] == nil {
			pools[s.id] = &pool{}
		}
		return b.ticks(j, pools[s.id])
	})
	for _, s := range asked {
		if p := pools[s.id]; p != nil && len(p.late) > 0 {
			b.keep(c.id(), s.id, report.Whole, &figures{values: p.values()})
		}
	}
	return err
}

// ticks is one measurement, which it adds to the pool.
func (b *bench) ticks(j lateness.Job, to *pool) (*figures, error) {
	var r lateness.Result
	if _, err := b.ask(b.inProbe("ticker"), j, &r, 2*(j.Warm+j.Window)); err != nil {
		return nil, err
	}
	if r.Help != "" && j.Burners == nil && j.Inside == 0 {
		b.note("the kernel granted the thread of %s: %s", b.names.Of(j.Ticker), r.Help)
	}
	one := pool{[][]time.Duration{r.Late}, r.Points, r.Missed, r.Unreported}
	f := &figures{values: one.values()}
	f.values["off_grid"] = float64(r.OffGrid)
	if j.Inside > 0 {
		f.values["work"] = r.Steps
	}
	if r.Usage.Known {
		f.disturbed = r.Usage.Disturbed()
		f.values["cpu"] = 1000 * r.Usage.Server.Seconds() / r.Usage.Elapsed.Seconds()
		f.values["steal"] = r.Usage.Steal
		f.values["other_load"] = r.Usage.Other
	}
	if !f.disturbed || !b.drop {
		to.add(one)
	}
	return f, nil
}

func (p *pool) add(q pool) {
	p.late = append(p.late, q.late...)
	p.points += q.points
	p.missed += q.missed
	p.unreported += q.unreported
}

func (p *pool) spread() lateness.Spread { return lateness.SpreadOf(p.late...) }

// values are the metrics that are of single ticks.
func (p *pool) values() map[string]float64 {
	s := p.spread()
	share := func(n uint64) float64 { return 100 * float64(n) / float64(max(p.points, 1)) }
	return map[string]float64{
		"mean": micros(s.Mean()), "sigma": micros(s.Sigma()), "p50": micros(s.Quantile(0.5)), "p99": micros(s.Quantile(0.99)),
		"p99.9": micros(s.Quantile(0.999)), "max": micros(s.Max()), "missed": share(p.missed), "unreported": share(p.unreported),
	}
}
