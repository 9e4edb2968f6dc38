package main

import (
	"fmt"
	"time"

	"github.com/weir-go/weir/bench/internal/life"
	"github.com/weir-go/weir/bench/internal/report"
)

// heapJob is to put one structure through the life that package life describes.
type heapJob = life.Job

// timerHeap measures the structures at each size, in random order and in the order of arrival. A million timers take
// some seconds a life, and their figures are nearly the same each time: three rounds.
func timerHeap(b *bench) error {
	subjects := b.called("std", "heap", "container")
	wheel, err := b.timingwheel()
	if err != nil {
		return err
	}
	if wheel != nil {
		subjects = append(subjects, *wheel)
	}
	sizes := []int{1000, 100_000, 1_000_000}
	if b.quick {
		sizes = sizes[:2]
	}
	for _, order := range []life.Order{life.Random, life.Arrival} {
		for _, n := range sizes {
			rounds := b.rounds
			if n >= 1_000_000 {
				rounds = min(rounds, 3)
			}
			name := fmt.Sprintf("heap-%d-%s", n, order)
			b.names[name] = fmt.Sprintf("%s timers, %s order", report.Number(float64(n)), order)
			j := heapJob{N: n, Order: order, Enough: b.enoughLife()}
			err := b.interleave(name, subjects, rounds, func(s subject) (*figures, error) { return b.life(s, j) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// enoughLife is how much processor time the lives of a structure take at least.
func (b *bench) enoughLife() time.Duration { return b.window / 8 }

// timerHuge is ten million timers, in one life that is counted: what memory it takes, and that it works.
func timerHuge(b *bench) error {
	const n = 10_000_000
	if b.quick && len(b.cases) == 0 {
		return nil
	}
	b.names["huge"] = fmt.Sprintf("%s timers, random order, the first life", report.Number(n))
	j := heapJob{N: n, Order: life.Random, Once: true}
	return b.interleave("huge", b.called("heap", "container"), 1, func(s subject) (*figures, error) {
		f, err := b.life(s, j)
		if f != nil {
			f.values["memory"] = f.values["memory_per_timer"] * n * 1.5 / 1e6
		}
		return f, err
	})
}

// life is one measurement of one structure.
func (b *bench) life(s subject, j heapJob) (*figures, error) {
	command := s.command
	if s.ours {
		command = b.inProbe("heap")
	}
	j.Subject = s.id
	var r life.Figures
	// The slowest takes some 10 µs a timer and life.
	use, err := b.ask(command, j, &r, 8*j.Enough+time.Duration(j.N)*100*time.Microsecond)
	if err != nil {
		return nil, err
	}
	f := &figures{disturbed: use.Disturbed(), values: map[string]float64{
		"set": r.Set, "stop": r.Stop, "push_on": r.PushOn, "fire": r.Fire,
		"memory_per_timer": r.Bytes, "allocs_per_set": r.SetAllocs, "allocs_per_fire": r.FireAllocs,
	}}
	if r.Embedded > 0 {
		f.values["embedded"] = r.Embedded
	}
	return f, nil
}

// timingwheel is the rival of that name, when its source is given; nil otherwise.
func (b *bench) timingwheel() (*subject, error) {
	if b.sources["timingwheel"] == "" {
		b.note("timingwheel not measured: its source has to be given: -source timingwheel=FOLDER")
		return nil, nil
	}
	home, err := rivalsFolder()
	if err != nil {
		return nil, err
	}
	binary, err := b.build(home, timingwheelRival)
	if err != nil {
		return nil, err
	}
	return &subject{id: "timingwheel", command: []string{binary}}, nil
}
