package main

import (
	_ "embed"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/weir-go/weir/bench/internal/report"
)

//go:embed timer.txt
var timerProse string

// timerArea measures package timer: what a timer costs, and how late a ticker is.
var timerArea = &area{
	word:    "timer",
	what:    "what a timer costs, and how late the ticks of a ticker are",
	cases:   []string{"heap", "huge", "clock", "ticker", "article"},
	measure: measureTimer,
	metrics: []report.Metric{
		{Name: "set", Unit: "ns", Title: "set ns", Ratio: report.RatioColumn},
		{Name: "stop", Unit: "ns", Title: "stop ns", Ratio: report.RatioColumn},
		{Name: "push_on", Unit: "ns", Title: "push on ns", Ratio: report.RatioColumn},
		{Name: "fire", Unit: "ns", Title: "set, fire ns", Ratio: report.RatioColumn},
		{Name: "memory_per_timer", Unit: "B", Title: "B/timer"},
		{Name: "embedded", Unit: "B", Title: "of it embedded"},
		{Name: "memory", Unit: "MB", Title: "MB in all"},
		{Name: "allocs_per_set", Unit: "", Title: "allocs/set"},
		{Name: "allocs_per_fire", Unit: "", Title: "allocs/fire"},
		{Name: "at_once", Unit: "ns", Title: "ns/pair at once", Ratio: report.RatioColumn},
		{Name: "at_once_cpu", Unit: "ns", Title: "CPU ns", Ratio: report.RatioColumn},
		{Name: "under_way", Unit: "ns", Title: "ns/pair under way", Ratio: report.RatioColumn},
		{Name: "under_way_cpu", Unit: "ns", Title: "CPU ns", Ratio: report.RatioColumn},
		{Name: "allocs_per_pair", Unit: "", Title: "allocs/pair"},
		{Name: "mean", Unit: "us", Title: "mean µs", Ratio: report.RatioColumn},
		{Name: "sigma", Unit: "us", Title: "σ"},
		{Name: "p50", Unit: "us", Title: "p50"},
		{Name: "p99", Unit: "us", Title: "p99", Ratio: report.RatioColumn},
		{Name: "p99.9", Unit: "us", Title: "p99.9", Ratio: report.RatioColumn},
		{Name: "max", Unit: "us", Title: "max"},
		{Name: "missed", Unit: "%", Title: "missed %"},
		{Name: "unreported", Unit: "%", Title: "unreported %"},
		{Name: "off_grid", Unit: "ns", Aside: true},
		{Name: "cpu", Unit: "ms/s", Title: "CPU ms/s"},
		{Name: "work", Unit: "steps/s", Title: "work/s", Ratio: report.RatioRow},
		{Name: "steal", Unit: "%", Aside: true},
		{Name: "other_load", Unit: "%", Aside: true},
	},
	names: report.Names{
		"std": "package time", "heap": "weir Heap", "clock": "weir Clock", "container": "container/heap",
		"coarse": "weir Coarse", "fine": "weir Fine", "exact": "weir Exact", "channel": "weir Fine, by channel",
	},
	pictures: timerPictures, tables: timerTables,
	prose:  timerProse,
	rounds: timerRounds,
	window: 4 * time.Second, quickWindow: time.Second, quickRounds: 1, quickEnds: 50 * time.Second,
}

// timerSubjects are all that take part in some case; timingwheel only with its source.
var timerSubjects = []string{"std", "heap", "container", "timingwheel", "clock", "coarse", "fine", "exact", "channel"}

func measureTimer(b *bench) error {
	for _, id := range b.subjects {
		if !slices.Contains(timerSubjects, id) {
			return fmt.Errorf("no subject is called %q; there is: %q", id, timerSubjects)
		}
	}
	for name := range b.sources {
		if name != timingwheelRival.id {
			return fmt.Errorf("-source %s: no rival of that name takes part in %s", name, b.area.word)
		}
	}
	b.rounds = b.enough(1)
	for _, one := range []struct {
		name string
		run  func(*bench) error
	}{
		{"heap", timerHeap}, {"huge", timerHuge}, {"clock", timerClock},
	} {
		if !b.wants(one.name) {
			continue
		}
		if err := one.run(b); err != nil {
			return err
		}
	}
	return timerTickers(b)
}

// called are those of some subjects that the command line asks for: all of them when it names none.
func (b *bench) called(some ...string) []subject {
	var list []subject
	for _, id := range some {
		if len(b.subjects) == 0 || slices.Contains(b.subjects, id) {
			list = append(list, subject{id: id, ours: true})
		}
	}
	return list
}

// inProbe is the command of a kind of measurement that this binary makes.
func (b *bench) inProbe(kind string) []string { return []string{b.self, "probe", kind} }

func timerRounds(b *bench) string {
	s := fmt.Sprintf("%d; a ticker has %v in each, after %v that are not counted, a structure at least %v of processor time",
		b.rounds, b.window, b.warm, b.enoughLife())
	if !b.quick {
		s += fmt.Sprintf("; the article's table has %d ticks, a million timers three rounds at most, ten million one", articleTicks)
	}
	return s
}

// goroutines is how many use a clock at once in the case of many.
func goroutines() int { return 4 * runtime.NumCPU() }
