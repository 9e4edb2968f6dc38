package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-go/weir/bench/internal/report"
)

// timerTables sum the cases up: what was to be reached, the article's table, and what each precision costs.
func timerTables(b *bench, rows []report.Row) []report.Grid {
	var grids []report.Grid
	for _, g := range []report.Grid{b.goals(rows), b.article(rows), b.precisions(rows)} {
		if len(g.Rows) > 0 {
			grids = append(grids, g)
		}
	}
	return grids
}

// figure is one figure of a run, and whether it was measured.
func figure(rows []report.Row, name, subject, metric string) (float64, bool) {
	i := slices.IndexFunc(rows, func(r report.Row) bool { return r.Case == name && r.Subject == subject && r.Metric == metric })
	if i < 0 {
		return 0, false
	}
	return rows[i].Median, true
}

// A goal is something to reach: some figures, none of which is to be above the limit.
type goal struct {
	what  string
	limit float64
	of    []string // what the figures are of
	found []float64
}

// against adds one figure of a subject.
func (g *goal) against(rows []report.Row, name, subject, metric, of string) {
	if v, ok := figure(rows, name, subject, metric); ok {
		g.of, g.found = append(g.of, of), append(g.found, v)
	}
}

func (g *goal) line() []string {
	var figures []string
	met := 0
	for _, v := range g.found {
		figures = append(figures, report.Number(v))
		if v <= g.limit {
			met++
		}
	}
	verdict := "yes"
	if met < len(g.found) {
		verdict = fmt.Sprintf("%d of %d", met, len(g.found))
	}
	return []string{g.what + " (" + strings.Join(g.of, " / ") + ")", report.Number(g.limit), strings.Join(figures, " / "), verdict}
}

// goals is the table of what package timer was built to reach. A ratio is against package time.
func (b *bench) goals(rows []report.Row) report.Grid {
	all := slices.Concat(heapGoals(rows), clockGoals(rows), tickGoals(rows))
	g := report.Grid{Title: "What was to be reached", Words: true, Head: []string{"", "at most", "measured", "reached"}}
	for i := range all {
		if len(all[i].found) > 0 {
			g.Rows = append(g.Rows, all[i].line())
		}
	}
	return g
}

func heapGoals(rows []report.Row) []goal {
	sizes := []int{1000, 100_000, 1_000_000}
	name := func(n int) string { return fmt.Sprintf("heap-%d-random", n) }
	var goals []goal
	for _, m := range []struct {
		metric, what string
		limit        float64
	}{
		{"set", "Heap, set: ratio", 1. / 12}, {"stop", "Heap, stop: ratio", 1. / 5},
		{"push_on", "Heap, push on: ratio", 1. / 25}, {"fire", "Heap, set and fire: ratio", 1. / 10},
	} {
		g := goal{what: m.what, limit: m.limit}
		for _, n := range sizes {
			g.against(rows, name(n), "heap", m.metric+report.RatioSuffix, report.Number(float64(n)))
		}
		goals = append(goals, g)
	}
	growth := goal{what: "Heap, a million against a thousand: times the cost", limit: 10}
	for _, metric := range []string{"set", "stop", "push_on", "fire"} {
		few, ok1 := figure(rows, name(sizes[0]), "heap", metric)
		many, ok2 := figure(rows, name(sizes[2]), "heap", metric)
		if ok1 && ok2 && few > 0 {
			growth.of, growth.found = append(growth.of, strings.ReplaceAll(metric, "_", " ")), append(growth.found, many/few)
		}
	}
	size, allocs := goal{what: "Heap, B in the user's struct", limit: 32}, goal{what: "Heap, allocations a set"}
	for _, n := range sizes {
		size.against(rows, name(n), "heap", "embedded", report.Number(float64(n)))
		// The first life is counted, in which the storage grows: some allocations for all timers together.
		allocs.against(rows, name(n), "heap", "allocs_per_set", report.Number(float64(n)))
	}
	allocs.limit = 0.05
	return append(goals, growth, size, allocs)
}

func clockGoals(rows []report.Row) []goal {
	var goals []goal
	for _, m := range []struct{ metric, what string }{
		{"at_once", "Clock, set and stop at once: ratio"}, {"under_way", "Clock, stop one of a million and set another: ratio"},
	} {
		g := goal{what: m.what, limit: 1. / 3}
		for _, n := range []int{1, goroutines()} {
			g.against(rows, fmt.Sprintf("clock-%d", n), "clock", m.metric+report.RatioSuffix, users(n))
		}
		goals = append(goals, g)
	}
	return goals
}

// tickGoals has one goal that crosses two loads: the remedy against doing nothing.
func tickGoals(rows []report.Row) []goal {
	var goals []goal
	for _, m := range []struct {
		what    string
		limit   float64
		load    load
		subject string
		metric  string
	}{
		{"idle, Fine, mean: ratio", 1. / 10, idle, "fine", "mean" + report.RatioSuffix},
		{"idle, Exact, p99 µs", 60, idle, "exact", "p99"},
		{"burnt by others, Exact, p99.9: ratio", 1. / 10, burnt, "exact", "p99.9" + report.RatioSuffix},
		{"burnt by others, Fine, p99.9: ratio", 1. / 3, burnt, "fine", "p99.9" + report.RatioSuffix},
	} {
		g := goal{what: "Ticker, " + m.what, limit: m.limit}
		for _, p := range tickPeriods {
			g.against(rows, tickCase{m.load, p}.id(), m.subject, m.metric, p.String())
		}
		goals = append(goals, g)
	}
	for _, remedy := range []struct {
		load          load
		subject, what string
	}{
		{spare, "exact", "Exact with a Spare"},
		{spare, "fine", "Fine with a Spare"},
		{spare, "std", "package time with a Spare"},
		{core, "exact", "Exact with a Spare and a free core"},
		{core, "fine", "Fine with a Spare and a free core"},
		{core, "std", "package time with a Spare and a free core"},
	} {
		g := goal{what: "Ticker, burnt inside, p99.9 of " + remedy.what + ": ratio to package time without", limit: 1. / 10}
		for _, p := range tickPeriods {
			with, ok1 := figure(rows, tickCase{remedy.load, p}.id(), remedy.subject, "p99.9")
			without, ok2 := figure(rows, tickCase{inside, p}.id(), "std", "p99.9")
			if ok1 && ok2 && without > 0 {
				g.of, g.found = append(g.of, p.String()), append(g.found, with/without)
			}
		}
		goals = append(goals, g)
	}
	return append(goals, promises(rows)...)
}

// promises are those that are kept or the run fails: the worst of all cases.
func promises(rows []report.Row) []goal {
	var goals []goal
	for _, m := range []struct{ metric, what string }{
		{"unreported", "Ticker of weir, ticks lost unreported, %"}, {"off_grid", "Ticker of weir, due time off start + n × period, ns"},
	} {
		worst, any := 0.0, false
		for _, r := range rows {
			if r.Metric == m.metric && r.Subject != "std" {
				worst, any = max(worst, r.Max), true
			}
		}
		if any {
			goals = append(goals, goal{m.what, 0, []string{"all cases"}, []float64{worst}})
		}
	}
	return goals
}

// article is the table of the article that this began with, next to ours.
func (b *bench) article(rows []report.Row) report.Grid {
	g := report.Grid{Title: "The article's table: ticks of 100 ms", Head: []string{"", "ticks", "mean µs", "max µs", "σ µs"}}
	for _, l := range []load{idle, burnt} {
		c := tickCase{l, articlePeriod}
		for _, s := range articleSubjects {
			p := b.pools[c][s]
			if p == nil || len(p.late) == 0 {
				continue
			}
			spread := p.spread()
			g.Rows = append(g.Rows, []string{string(l) + ", " + b.names.Of(s), report.Number(float64(p.points)),
				report.Number(micros(spread.Mean())), report.Number(micros(spread.Max())), report.Number(micros(spread.Sigma()))})
		}
	}
	return g
}

// precisions is the table in the documentation of timer.Precision.
func (b *bench) precisions(rows []report.Row) report.Grid {
	g := report.Grid{Title: "Lateness and processor time by precision, idle", Head: []string{""}}
	for _, p := range tickPeriods {
		ms := fmt.Sprintf("%d ms", p/time.Millisecond)
		g.Head = append(g.Head, ms+": mean", "p99 µs", "CPU ms/s")
	}
	for _, s := range []string{"std", "coarse", "fine", "exact"} {
		line, some := []string{b.names.Of(s)}, false
		for _, p := range tickPeriods {
			for _, metric := range []string{"mean", "p99", "cpu"} {
				v, ok := figure(rows, tickCase{idle, p}.id(), s, metric)
				text := ""
				if ok {
					text, some = report.Number(v), true
				}
				line = append(line, text)
			}
		}
		if some {
			g.Rows = append(g.Rows, line)
		}
	}
	return g
}
