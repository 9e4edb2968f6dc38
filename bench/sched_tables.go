package main

import (
	"slices"

	"github.com/weir-go/weir/bench/internal/report"
)

// schedTables is what package sched was built to reach, in front of the figures.
func schedTables(_ *bench, rows []report.Row) []report.Grid {
	g := report.Grid{Title: "What was to be reached", Words: true, Head: []string{"", "at most", "measured", "reached"}}
	for _, one := range slices.Concat(intervalGoals(rows), pendingGoals(rows), skewGoals(rows)) {
		if len(one.found) > 0 {
			g.Rows = append(g.Rows, one.line())
		}
	}
	if len(g.Rows) == 0 {
		return nil
	}
	return []report.Grid{g}
}

// best is the lowest figure of the rivals, and whose it is.
func best(rows []report.Row, name, metric string, among []string) (least float64, whose string) {
	for _, id := range among {
		if v, ok := figure(rows, name, id, metric); ok && (whose == "" || v < least) {
			least, whose = v, id
		}
	}
	return least, whose
}

// mostMissed is the share of instants without a body, in percent, above which what a fire costs says nothing.
const mostMissed = 1

// fit are the rivals that do what they are asked for; all of them where none does.
func fit(rows []report.Row, name string) (list []string) {
	for _, id := range schedRivals {
		if m, ok := figure(rows, name, id, "missed"); ok && m <= mostMissed {
			list = append(list, id)
		}
	}
	if len(list) == 0 {
		return schedRivals
	}
	return list
}

// intervalGoals are about a hundred thousand jobs: with fewer, waking up is most of what a fire costs.
func intervalGoals(rows []report.Row) (goals []goal) {
	const most = 100_000
	name := intervalsCase(most)
	for _, subject := range []struct{ id, what string }{{"weir", ""}, {"short", ", prompt"}} {
		cost := goal{what: "100,000 jobs" + subject.what + ", CPU of a fire: to the best rival's", limit: 1. / 5}
		ours, ok := figure(rows, name, subject.id, "cpu_per_fire")
		if v, whose := best(rows, name, "cpu_per_fire", fit(rows, name)); ok && whose != "" && v > 0 {
			if m, _ := figure(rows, name, whose, "missed"); m > mostMissed {
				whose += ", which misses " + report.Number(m) + " %"
			}
			cost.of, cost.found = []string{whose}, []float64{ours / v}
		}
		late := goal{what: "100,000 jobs" + subject.what + ", later than 10 ms or missed: to the best rival's", limit: 1. / 10}
		ours, ok = figure(rows, name, subject.id, "late")
		if v, whose := best(rows, name, "late", schedRivals); ok && whose != "" && v > 0 {
			late.of, late.found = []string{whose}, []float64{ours / v}
		}
		missed := goal{what: "Jobs of 1 s" + subject.what + ", instants without a body, %", limit: 0.1}
		for _, n := range []int{1000, 10_000, most} {
			missed.against(rows, intervalsCase(n), subject.id, "missed", report.Number(float64(n)))
		}
		goals = append(goals, cost, late, missed)
	}
	return goals
}

func pendingGoals(rows []report.Row) []goal {
	const many, few = 1_000_000, 10_000
	pair := goal{what: "Schedule and cancel with a million pending: ratio to AfterFunc and Stop", limit: 1. / 3}
	pair.against(rows, pendingCase(many), "weir", "at_once"+report.RatioSuffix, "at once")
	pair.against(rows, pendingCase(many), "weir", "under_way"+report.RatioSuffix, "under way")
	bytes := goal{what: "Bytes for each that is pending, to gocron's", limit: 1. / 2}
	ours, ok1 := figure(rows, pendingCase(many), "weir", "memory_per_pending")
	theirs, ok2 := figure(rows, pendingCase(few), "gocron", "memory_per_pending")
	if ok1 && ok2 && theirs > 0 {
		bytes.of, bytes.found = []string{"a million to 10,000"}, []float64{ours / theirs}
	}
	drain := goal{what: "CPU ms to wait for a body of 2 s", limit: 10}
	drain.against(rows, "drain", "weir", "cpu", "weir")
	return []goal{pair, bytes, drain}
}

// skewGoals are those of the timer area, for a body instead of a tick.
func skewGoals(rows []report.Row) []goal {
	var goals []goal
	for _, m := range []struct {
		what    string
		limit   float64
		load    load
		subject string
		metric  string
	}{
		{"idle, Fine, mean", 1. / 10, idle, "fine", "mean"},
		{"burnt by others, Exact, p99.9", 1. / 10, burnt, "exact", "p99.9"},
		{"burnt by others, Exact, prompt, p99.9", 1. / 10, burnt, "prompt", "p99.9"},
		{"burnt by others, Fine, p99.9", 1. / 3, burnt, "fine", "p99.9"},
	} {
		g := goal{what: "Skew, " + m.what + ": ratio to time.Ticker", limit: m.limit}
		g.against(rows, "skew-"+string(m.load), m.subject, m.metric+report.RatioSuffix, "100 ms")
		goals = append(goals, g)
	}
	for _, l := range []load{spare, core} {
		with := map[load]string{spare: "with a Spare", core: "with a Spare and a free core"}[l]
		for _, m := range []struct{ subject, what string }{{"exact", "Exact"}, {"prompt", "Exact, prompt"}} {
			g := goal{what: "Skew, burnt inside, p99.9 of " + m.what + ", " + with + ": ratio to time.Ticker without", limit: 1. / 10}
			ours, ok1 := figure(rows, "skew-"+string(l), m.subject, "p99.9")
			theirs, ok2 := figure(rows, "skew-"+string(inside), "std", "p99.9")
			if ok1 && ok2 && theirs > 0 {
				g.of, g.found = []string{"100 ms"}, []float64{ours / theirs}
			}
			goals = append(goals, g)
		}
	}
	return goals
}
