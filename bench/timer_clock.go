package main

import (
	"fmt"
	"time"

	"github.com/weir-go/weir/bench/internal/life"
	"github.com/weir-go/weir/bench/internal/report"
)

// clockJob is to set and stop timers while many are set.
type clockJob struct {
	Subject string
	life.PairJob
}

// timerClock compares timer.Clock with the runtime's timers, from one goroutine and from many.
func timerClock(b *bench) error {
	const pending = 1_000_000
	for _, g := range []int{1, goroutines()} {
		name := fmt.Sprintf("clock-%d", g)
		b.names[name] = fmt.Sprintf("AfterFunc and Stop while %s are set, %s", report.Number(pending), users(g))
		j := life.PairJob{Pending: pending, Goroutines: g, Window: b.window / 8}
		err := b.interleave(name, b.called("std", "clock"), b.rounds, func(s subject) (*figures, error) { return b.pairs(s, j) })
		if err != nil {
			return err
		}
	}
	return nil
}

func users(g int) string {
	if g == 1 {
		return "1 goroutine"
	}
	return fmt.Sprintf("%d goroutines", g)
}

// pairs is one measurement, at once and under way: two processes.
func (b *bench) pairs(s subject, j life.PairJob) (*figures, error) {
	f := &figures{values: map[string]float64{}}
	for metric, underWay := range map[string]bool{"at_once": false, "under_way": true} {
		j.UnderWay = underWay
		var r life.Pairs
		use, err := b.ask(b.inProbe("clock"), clockJob{s.id, j}, &r, j.Window+time.Minute)
		if err != nil {
			return nil, err
		}
		f.disturbed = f.disturbed || use.Disturbed()
		f.values[metric] = r.Each
		f.values["allocs_per_pair"] = r.Allocs
		if r.CPU > 0 {
			f.values[metric+"_cpu"] = r.CPU
		}
	}
	return f, nil
}
