package main

import (
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/weir-go/weir/bench/internal/line"
	"github.com/weir-go/weir/bench/internal/proc"
	"github.com/weir-go/weir/bench/internal/report"
)

//go:embed echo.txt
var echoProse string

// echoArea measures a server that sends back what it is sent.
var echoArea = &area{
	word:    "echo",
	what:    "a server that sends back what it is sent, over TCP on loopback",
	cases:   []string{"shapes", "idle", "churn", "syscalls", "sparse", "burnt"},
	measure: measureEcho,
	metrics: []report.Metric{
		{Name: "rate", Unit: "req/s", Title: "req/s", Ratio: report.RatioRow},
		{Name: "conns_per_second", Unit: "conn/s", Title: "conn/s", Ratio: report.RatioRow},
		{Name: "p50", Unit: "us", Title: "p50 µs"},
		{Name: "p99", Unit: "us", Title: "p99 µs", Ratio: report.RatioColumn},
		{Name: "p99.9", Unit: "us", Title: "p99.9 µs"},
		{Name: "max", Unit: "us", Aside: true},
		{Name: "cpu_per_request", Unit: "us", Title: "CPU µs/request", Ratio: report.RatioColumn},
		{Name: "cpu_per_connection", Unit: "us", Title: "CPU µs/connection", Ratio: report.RatioColumn},
		{Name: "memory_per_connection", Unit: "B", Title: "B/connection", Ratio: report.RatioColumn},
		{Name: "goroutines", Unit: "", Title: "goroutines"},
		{Name: "syscalls_per_request", Unit: "", Title: "calls/request", Ratio: report.RatioColumn},
		{Name: "reads_per_request", Unit: "", Title: "read"},
		{Name: "writes_per_request", Unit: "", Title: "write"},
		{Name: "waits_per_request", Unit: "", Title: "wait"},
		{Name: "other_calls_per_request", Unit: "", Title: "other"},
		{Name: "driver_cpu", Unit: "%", Aside: true},
		{Name: "steal", Unit: "%", Aside: true},
		{Name: "other_load", Unit: "%", Aside: true},
	},
	names: report.Names{
		"std": "package net", "callback": "weir callback", "blocking": "weir blocking",
		"cepoll": "C epoll", "rawloop": "bare Go loop",
		"churn": "Churn: connect, one 64 B message, close; 64 at a time",
		"burnt": "All cores burnt inside the server process: 16 connections × 64 B × 1",
	},
	pictures: echoPictures,
	prose:    echoProse,
}

func echoPictures(b *bench, rows []report.Row) []picture {
	p := report.Plot{
		Title:  "Server CPU per echoed message",
		Note:   "Shorter is better. Bars: median of the ratios within rounds; whiskers: their range.",
		Metric: "cpu_per_request" + report.RatioSuffix,
		Rows:   rows, Base: b.base, Names: b.names,
	}
	plain := p.Title
	p.Title += ", " + p.Names.Of(b.base) + " = 1"
	svg := p.SVG()
	if svg == "" {
		return nil
	}
	return []picture{{title: plain, svg: svg}}
}

var (
	echoShapes = []shape{{64, 64, 1}, {1000, 64, 1}, {1000, 1024, 1}, {10000, 64, 1}, {64, 64, 16}, {64, 16384, 1}}
	fewShapes  = []shape{{64, 64, 1}, {1000, 64, 1}}
)

// measureEcho runs the cases one after the other. The shapes come first: they are what most people look at.
func measureEcho(b *bench) error {
	all, err := b.withRivals(b.faces())
	if err != nil {
		return err
	}
	subjects, err := b.chosen(all)
	if err != nil {
		return err
	}
	b.rounds = b.enough(len(subjects))
	for _, one := range []struct {
		name string
		run  func(*bench, []subject) error
	}{
		{"shapes", echoShapesCase}, {"idle", echoIdle}, {"churn", echoChurn}, {"syscalls", echoSyscalls}, {"sparse", echoSparse},
		{"burnt", echoBurnt},
	} {
		if b.wants(one.name) {
			if err := one.run(b, subjects); err != nil {
				return err
			}
		}
	}
	return nil
}

func echoShapesCase(b *bench, subjects []subject) error {
	shapes := b.shapes
	if shapes == nil && b.quick {
		shapes = fewShapes
	} else if shapes == nil {
		shapes = echoShapes
	}
	for _, sh := range shapes {
		if limit := descriptors(); sh.conns > limit {
			b.note("%s skipped: a process may open %d descriptors here", sh, limit)
			continue
		}
		b.names[sh.String()] = fmt.Sprintf("%d connections × %d B × %d", sh.conns, sh.size, sh.pipeline)
		j := job{Mode: "echo", Conns: sh.conns, Size: sh.size, Pipeline: sh.pipeline, Warm: b.warm, Window: b.window}
		err := b.interleave(sh.String(), subjects, b.rounds, func(s subject) (*figures, error) {
			return b.load(s, j, b.onOneCore())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// load is one measurement: a fresh server, a fresh driver, one window. doing is said to the server first.
func (b *bench) load(s subject, j job, at place, doing ...string) (f *figures, err error) {
	srv, err := b.start(s, at, "-buffer", strconv.Itoa(max(4096, j.Size)))
	if err != nil {
		return nil, err
	}
	defer stop(srv.Proc, &err)
	for _, word := range doing {
		if ok, err := srv.can(word); !ok || err != nil {
			return nil, err
		}
	}
	j.Addr, j.Server = srv.addr, srv.PID()
	drv, err := b.open(j, b.driverPlace(at))
	if err != nil {
		return nil, err
	}
	defer stop(drv.Proc, &err)
	before, known, err := srv.number(line.CPU)
	if err != nil {
		return nil, err
	}
	r, err := drv.run()
	if err != nil {
		return nil, err
	}
	f = r.figures(j)
	if known && !r.Usage.Known { // no /proc: the server's own figure, warm-up and all
		after, _, err := srv.number(line.CPU)
		if err != nil {
			return nil, err
		}
		f.values["cpu_per_"+j.request()] = (after - before) / float64(r.All)
	}
	return f, nil
}

// driverPlace is the driver's core, or anywhere when the server is not held on one either.
func (b *bench) driverPlace(server place) place {
	if server.core == proc.Anywhere {
		return place{proc.Anywhere, 1}
	}
	return place{b.driverCore, 1}
}

// stop ends a process at the end of a measurement; the first error counts.
func stop(p *proc.Proc, err *error) {
	if e := p.Stop(patience); *err == nil && e != nil {
		*err = e
	}
}

// request is what a mode counts.
func (j job) request() string {
	if j.Mode == "churn" {
		return "connection"
	}
	return "request"
}

// figures turns a driver's result into metrics.
func (r *result) figures(j job) *figures {
	n := float64(r.Counted)
	f := &figures{disturbed: r.Usage.Disturbed(), values: map[string]float64{
		"p50": micros(r.P50), "p99": micros(r.P99), "p99.9": micros(r.P999), "max": micros(r.Max),
	}}
	rate := "rate"
	if j.Mode == "churn" {
		rate = "conns_per_second"
	}
	f.values[rate] = r.Rate
	if r.Usage.Known {
		f.values["cpu_per_"+j.request()] = micros(r.Usage.Server) / n
		f.values["driver_cpu"] = 100 * r.Usage.Driver.Seconds() / r.Usage.Elapsed.Seconds()
		f.values["steal"] = r.Usage.Steal
		f.values["other_load"] = r.Usage.Other
	}
	return f
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
