package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/weir-go/weir/bench/internal/report"
)

//go:embed idem.txt
var idemProse string

// idemArea measures what it costs to do something once, over Redis, and sagas.
var idemArea = &area{
	word:    "idem",
	what:    "what it costs to do something once over Redis, and several things or none of them",
	cases:   []string{"unix", "tcp", "saga"},
	measure: measureIdem,
	metrics: []report.Metric{
		{Name: "cpu_per_op", Unit: "us", Title: "client CPU µs/op", Ratio: report.RatioColumn},
		{Name: "rate", Unit: "op/s", Title: "ops/s", Ratio: report.RatioColumn},
		{Name: "p50", Unit: "us", Title: "p50 µs"},
		{Name: "p99", Unit: "us", Title: "p99 µs", Ratio: report.RatioColumn},
		{Name: "syncs_per_op", Unit: "", Title: "fsyncs/op"},
		{Name: "steal", Unit: "%", Aside: true},
		{Name: "other_load", Unit: "%", Aside: true},
	},
	names: report.Names{
		"std": "SET NX PX and GET, go-redis on package net", "netconn": "the same on netconn",
		"idem": "idem over contrib/redis", "pooled": "idem over contrib/redis, Pooled (go-redis on netconn)",
		"files": "saga, all in files", "files-redis": "saga, log in a file, idem over Redis",
	},
	prose:  idemProse,
	window: 1500 * time.Millisecond, quickWindow: 300 * time.Millisecond, quickRounds: 1, quickEnds: 50 * time.Second,
}

// idemRival is the program that measures itself: it needs modules that this one does not have.
var idemRival = rival{id: "idem", folder: "idem"}

// idemJob and idemResult are what that program takes and gives.
type (
	idemJob struct {
		Subject, Addr, Dir string
		Callers            int
		Warm, Window       time.Duration
	}
	idemResult struct {
		Ops                        uint64
		Rate, P50, P99, CPU, Syncs float64
	}
)

// idemCase is a row of the plan: who takes part, asked over what.
type idemCase struct {
	name, what string
	subjects   []string
	tcp        bool
}

var idemCases = []idemCase{
	{"unix", "a key done once, Unix socket", []string{"std", "netconn", "idem", "pooled"}, false},
	{"tcp", "a key done once, TCP", []string{"std", "netconn", "idem", "pooled"}, true},
	{"saga", "a saga of three steps that do nothing", []string{"files", "files-redis"}, false},
}

func measureIdem(b *bench) error {
	if len(b.sources) > 0 {
		return errors.New("-source: no rival of this area takes one")
	}
	for _, id := range b.subjects {
		if _, known := b.names[id]; !known {
			return fmt.Errorf("no subject is called %q", id)
		}
	}
	home, err := rivalsFolder()
	if err != nil {
		return err
	}
	binary, err := b.build(home, idemRival)
	if err != nil {
		return err
	}
	srv, err := startRedis(b.scratch)
	if err != nil {
		return err
	}
	defer srv.stop()
	b.rounds = b.enough(4)
	for _, c := range idemCases {
		if !b.wants(c.name) {
			continue
		}
		for _, callers := range []int{1, 16, 256} {
			if err := b.idemCase(c, binary, srv, callers); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) idemCase(c idemCase, binary string, srv *redisServer, callers int) error {
	name := fmt.Sprintf("%s-%d", c.name, callers)
	b.names[name] = fmt.Sprintf("%s, %s", c.what, plural(callers, "caller"))
	addr := srv.socket
	if c.tcp {
		addr = srv.addr
	}
	var subjects []subject
	for _, id := range c.subjects {
		if len(b.subjects) == 0 || slices.Contains(b.subjects, id) {
			subjects = append(subjects, subject{id: id, command: []string{binary}})
		}
	}
	return b.interleave(name, subjects, b.rounds, func(s subject) (*figures, error) {
		j := idemJob{Subject: s.id, Addr: addr, Callers: callers, Warm: b.warm, Window: b.window}
		return b.idem(s, j)
	})
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// idem is one measurement.
func (b *bench) idem(s subject, j idemJob) (f *figures, err error) {
	if j.Dir, err = os.MkdirTemp(b.scratch, "files-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(filepath.Clean(j.Dir))
	var r idemResult
	use, err := b.ask(s.command, j, &r, j.Warm+j.Window+10*time.Second)
	if err != nil {
		return nil, err
	}
	f = &figures{disturbed: use.Disturbed(), values: map[string]float64{
		"cpu_per_op": r.CPU / 1e3, "rate": r.Rate, "p50": r.P50 / 1e3, "p99": r.P99 / 1e3}}
	if r.Syncs >= 0 {
		f.values["syncs_per_op"] = r.Syncs
	}
	return f, nil
}
