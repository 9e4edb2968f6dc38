//go:build ignore

// Pace shows what a window does while load comes and goes: a job that adds to it,
// and one that empties a queue.
//
//	go run docs/guide/sched/pace.go
package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/weir-go/weir/sched"
)

func main() {
	const base = 10 * time.Second
	producer, err := sched.NewPace(sched.PaceConfig{Base: base})
	if err != nil {
		panic(err)
	}
	drainer, err := sched.NewPace(sched.PaceConfig{Base: base, Drainer: true})
	if err != nil {
		panic(err)
	}
	fmt.Println("  min  depth   p99   producer            drainer")
	now := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	for second := range 900 {
		load := sched.Load{Rate: 100, Depth: 500, P99: 100 * time.Millisecond}
		switch minute := second / 60; {
		case minute >= 2 && minute < 5:
			load.Depth = 12_000
		case minute >= 5 && minute < 9:
			load.Depth, load.P99 = 12_000, 6*time.Second
		}
		now = now.Add(time.Second)
		producer.Sample(now, load)
		drainer.Sample(now, load)
		if second%60 == 59 {
			fmt.Printf("%5d %6d %4.1fs   %s%s\n", second/60+1, load.Depth, load.P99.Seconds(),
				bar(producer.Width(now)), bar(drainer.Width(now)))
		}
	}
}

func bar(w time.Duration) string {
	return fmt.Sprintf("%-20s", fmt.Sprintf("%4.0fs %s", w.Seconds(), strings.Repeat("#", int(w.Seconds()/4))))
}
