package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/weir-go/weir/bench/internal/proc"
	"github.com/weir-go/weir/bench/internal/report"
)

// bench is one run of one area.
type bench struct {
	*options
	self     string // this binary, which is also the servers and the driver
	scratch  string // a folder for what is built, removed at the end
	progress io.Writer

	serverCore, driverCore int // proc.Anywhere where nothing is pinned

	began time.Time
	names report.Names // of subjects and cases
	log   report.Log
	notes []string // what a reader of the figures has to know

	pools map[tickCase]map[string]*pool // every tick that was measured, by subject
	bases map[string]string             // the subject that ratios are taken against, of cases that have their own
}

func newBench(o *options, progress io.Writer) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	scratch, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, self: self, scratch: scratch, progress: progress, began: time.Now(),
		names: maps.Clone(o.area.names), pools: map[tickCase]map[string]*pool{}, bases: map[string]string{}}
	var note string
	b.serverCore, b.driverCore, note = proc.Cores()
	if note != "" {
		b.note("%s", note)
	}
	return b, nil
}

func (b *bench) close() { os.RemoveAll(b.scratch) }

// note keeps a remark for the report, once, and shows it now.
func (b *bench) note(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if !slices.Contains(b.notes, s) {
		b.notes = append(b.notes, s)
		fmt.Fprintln(b.progress, "note:", s)
	}
}

// wants says whether the command line asks for a case.
func (b *bench) wants(name string) bool {
	return len(b.cases) == 0 || slices.Contains(b.cases, name)
}

// figures are the values of one measurement by metric, and whether something else disturbed it.
type figures struct {
	values    map[string]float64
	disturbed bool
}

// quickEnough is when a quick run does with one round of what is left, to end before 45 s.
const quickEnough = 38 * time.Second

// interleave measures a case: all subjects once, then all once more, as many rounds as asked for. A nil figures
// without an error means that a subject has no such case.
func (b *bench) interleave(name string, subjects []subject, rounds int, one func(subject) (*figures, error)) error {
	for round := 1; round <= rounds; round++ {
		if b.quick && round > 1 && time.Since(b.began) > cmp.Or(b.area.quickEnds, quickEnough) {
			b.note("%s has %d rounds, not %d: a quick run ends in time", name, round-1, rounds)
			return nil
		}
		for _, s := range subjects {
			f, err := one(s)
			if err != nil {
				return fmt.Errorf("%s, %s, round %d: %w", name, s.id, round, err)
			}
			if f == nil {
				continue
			}
			b.keep(name, s.id, round, f)
			b.show(name, round, rounds, s, f)
		}
	}
	return nil
}

// keep adds what one measurement gave to the log.
func (b *bench) keep(name, subject string, round int, f *figures) {
	for metric, v := range f.values {
		b.log.Add(report.Sample{Case: name, Subject: subject, Metric: metric, Round: round, Value: v, Disturbed: f.disturbed})
	}
}

// show writes one line of progress: the first three metrics there are.
func (b *bench) show(name string, round, rounds int, s subject, f *figures) {
	line := fmt.Sprintf("%-12s %d/%d  %-9s", name, round, rounds, s.id)
	shown := 0
	for _, m := range b.area.metrics {
		if v, ok := f.values[m.Name]; ok && shown < 3 && !m.Aside {
			line += fmt.Sprintf("  %s %s", report.Number(v), m.Title)
			shown++
		}
	}
	if f.disturbed {
		line += "  (disturbed)"
	}
	fmt.Fprintln(b.progress, line)
}
