package main

import (
	"fmt"
	"strconv"

	"github.com/weir-go/weir/bench/internal/report"
)

// streamTables is the table of what package stream was built to reach.
func streamTables(b *bench, rows []report.Row) []report.Grid {
	usual := b.log.Rows(report.Options{Base: "grpc-chan", Metrics: b.area.metrics, Drop: b.drop})
	alone := b.log.Rows(report.Options{Base: "topic-alone", Metrics: b.area.metrics, Drop: b.drop})
	var goals []goal
	goals = append(goals, fanoutGoals(rows, usual)...)
	goals = append(goals, slowGoals(alone)...)
	goals = append(goals, weightGoals(rows)...)
	goals = append(goals, messageGoals(b, rows)...)
	g := report.Grid{Title: "What was to be reached", Words: true, Head: []string{"", "at most", "measured", "reached"}}
	for i := range goals {
		if len(goals[i].found) > 0 {
			g.Rows = append(g.Rows, goals[i].line())
		}
	}
	if len(g.Rows) == 0 {
		return nil
	}
	return []report.Grid{g}
}

// fanoutGoals are ratios to grpc-go's best pattern, whichever it was in this run, and to its usual one.
func fanoutGoals(rows, usual []report.Row) []goal {
	const cpu, tail = "cpu_per_delivery" + report.RatioSuffix, "p99" + report.RatioSuffix
	best := goal{what: "Fan-out as fast as it goes, CPU: ratio to the best pattern", limit: 1. / 12}
	often := goal{what: "Fan-out as fast as it goes, CPU: ratio to a channel each", limit: 1. / 25}
	for _, n := range fanSizes {
		best.against(rows, fanID(n), "topic", cpu, report.Number(float64(n)))
		often.against(usual, fanID(n), "topic", cpu, report.Number(float64(n)))
	}
	goals := []goal{best, often}
	for i, n := range fanSizes {
		of := report.Number(float64(n))
		g := goal{what: "Fan-out at 50,000 a second, CPU: ratio to the best pattern", limit: []float64{1. / 4, 1. / 15}[i]}
		g.against(rows, pacedID(n), "topic", cpu, of)
		late := goal{what: "Fan-out at 50,000 a second, p99: ratio to the best pattern", limit: []float64{1. / 2, 1. / 8}[i]}
		late.against(rows, pacedID(n), "topic", tail, of)
		goals = append(goals, g, late)
	}
	return goals
}

// slowGoals compare a topic of which one subscriber in a hundred never reads with one where all do.
func slowGoals(alone []report.Row) []goal {
	fast := goal{what: "One in a hundred never reads, as fast as it goes, CPU: ratio to none", limit: 1.1}
	paced := goal{what: "One in a hundred never reads, at 50,000 a second, CPU: ratio to none", limit: 1.1}
	late := goal{what: "One in a hundred never reads, at 50,000 a second, p99: ratio to none", limit: 1.1}
	for _, n := range fanSizes {
		of := report.Number(float64(n))
		fast.against(alone, fanID(n), "topic", "cpu_per_delivery"+report.RatioSuffix, of)
		paced.against(alone, pacedID(n), "topic", "cpu_per_delivery"+report.RatioSuffix, of)
		late.against(alone, pacedID(n), "topic", "p99"+report.RatioSuffix, of)
	}
	return []goal{fast, paced, late}
}

func weightGoals(rows []report.Row) []goal {
	stream := goal{what: "Idle subscribed stream, B", limit: 450}
	stream.against(rows, "streams", "topic", "memory_per_stream", "one message each")
	routines := goal{what: "Idle subscribed streams, goroutines of the whole process", limit: 50}
	routines.against(rows, "streams", "topic", "goroutines", "in all")
	conn := goal{what: "Idle connection: ratio", limit: 1. / 10}
	conn.against(rows, "conns", "raw", "memory_per_connection"+report.RatioSuffix, "memory of the process")
	return []goal{stream, routines, conn}
}

func messageGoals(b *bench, rows []report.Row) []goal {
	var goals []goal
	for _, m := range []struct {
		subject string
		limit   float64
	}{{"callback", 0.3}, {"raw", 0.12}, {"generated", 0.6}} {
		g := goal{what: "Both sides, CPU, " + b.names.Of(m.subject) + ": ratio", limit: m.limit}
		for _, s := range bidiShapes {
			g.against(rows, s.id(), m.subject, "cpu_per_message"+report.RatioSuffix, fmt.Sprintf("%s, %d B", connections(s.conns), s.size))
		}
		goals = append(goals, g)
	}
	unary := goal{what: "Calls, CPU: ratio", limit: 0.6}
	for _, id := range []string{"generated", "inline", "raw"} {
		unary.against(rows, "unary", id, "cpu_per_message"+report.RatioSuffix, b.names.Of(id))
	}
	frame, allocs := goal{what: "DATA frame read, ns", limit: 25}, goal{what: "DATA frame read, allocations", limit: 0.001}
	for _, size := range []int{64, 1024} {
		id := "data-" + strconv.Itoa(size)
		frame.against(rows, "frames", id, "frame", strconv.Itoa(size)+" B")
		allocs.against(rows, "frames", id, "allocs_per_frame", strconv.Itoa(size)+" B")
	}
	return append(goals, unary, frame, allocs)
}
