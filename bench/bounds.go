package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-go/weir/bench/internal/h2c"
	"github.com/weir-go/weir/bench/internal/report"
)

//go:embed bounds.txt
var boundsProse string

// boundsArea measures what it costs to be kept within bounds while they are far away.
var boundsArea = &area{
	word:    "bounds",
	what:    "what bounds, a guard at the door and time-outs for peers cost a process that is far from its limits",
	cases:   []string{"bytes", "churn", "bidi", "unary"},
	measure: measureBounds,
	metrics: []report.Metric{
		{Name: "cpu_per_request", Unit: "us", Title: "CPU µs/request", Ratio: report.RatioColumn},
		{Name: "cpu_per_connection", Unit: "us", Title: "CPU µs/connection", Ratio: report.RatioColumn},
		{Name: "cpu_per_message", Unit: "us", Title: "CPU µs/message", Ratio: report.RatioColumn},
		{Name: "rate", Unit: "req/s", Title: "req/s", Ratio: report.RatioColumn},
		{Name: "conns_per_second", Unit: "conn/s", Title: "conn/s", Ratio: report.RatioColumn},
		{Name: "p50", Unit: "us", Title: "p50 µs"},
		{Name: "p99", Unit: "us", Title: "p99 µs"},
		{Name: "p99.9", Unit: "us", Aside: true},
		{Name: "max", Unit: "us", Aside: true},
		{Name: "server_cpu", Unit: "%", Aside: true},
		{Name: "driver_cpu", Unit: "%", Aside: true},
		{Name: "steal", Unit: "%", Aside: true},
		{Name: "other_load", Unit: "%", Aside: true},
	},
	names: report.Names{
		"off": "without", "on": "with bounds, guard, time-outs", "again": "without, once more",
		"bytes": "Echo: 64 connections × 64 B × 1", "churn": "Churn: connect, one 64 B message, close; 64 at a time",
		"bidi": "Streams: 100 on 10 connections, 64 B", "unary": "Calls: 10 connections × 10, 64 B",
	},
	prose:  boundsProse,
	window: time.Second, quickWindow: 200 * time.Millisecond,
}

// boundsSides are what takes turns: with, and twice without, which says what a difference is worth.
var boundsSides = []string{"off", "on", "again"}

func measureBounds(b *bench) error {
	for _, id := range b.subjects {
		if !slices.Contains(boundsSides, id) {
			return fmt.Errorf("no subject is called %q; there is: %s", id, strings.Join(boundsSides, ", "))
		}
	}
	b.rounds = b.enough(len(boundsSides))
	echo := job{Conns: 64, Size: 64, Pipeline: 1, Warm: b.warm, Window: b.window}
	bytes, churn := echo, echo
	bytes.Mode, churn.Mode = "echo", "churn"
	for _, one := range []struct {
		name, serve string
		run         func(s subject) (*figures, error)
	}{
		{"bytes", "bytes", func(s subject) (*figures, error) { return b.load(s, bytes, b.onOneCore()) }},
		{"churn", "bytes", func(s subject) (*figures, error) { return b.load(s, churn, b.onOneCore()) }},
		{"bidi", "streams", func(s subject) (*figures, error) { return b.raw(s, bidiPath, h2c.Echo) }},
		{"unary", "streams", func(s subject) (*figures, error) { return b.raw(s, unaryPath, h2c.Unary) }},
	} {
		if !b.wants(one.name) {
			continue
		}
		b.bases[one.name] = "off"
		if err := b.interleave(one.name, b.sides(one.serve), b.rounds, one.run); err != nil {
			return err
		}
	}
	return nil
}

// sides are the servers, those of them that the command line asks for.
func (b *bench) sides(serve string) (all []subject) {
	for _, id := range boundsSides {
		if len(b.subjects) > 0 && !slices.Contains(b.subjects, id) {
			continue
		}
		command := []string{b.self, "bounded", "-serve", serve, fmt.Sprintf("-on=%v", id == "on")}
		all = append(all, subject{id: id, command: command, ours: true})
	}
	return all
}

// raw is one measurement of messages that nobody decodes.
func (b *bench) raw(s subject, path string, mode h2c.Mode) (*figures, error) {
	return b.talk(talked{subject: s, path: path, raw: true}, b.ourJob(mode, 10, 100, 64), -1, "cpu_per_message")
}
