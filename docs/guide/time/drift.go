//go:build ignore

// Drift does the same thing every 10 ms in three ways, and says how far each has
// come from start + n x period.
//
//	go run docs/guide/time/drift.go
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/weir-go/weir/timer"
)

const (
	period = 10 * time.Millisecond
	ticks  = 200
	work   = time.Millisecond
)

// busy is what is done at each tick.
func busy() {
	for start := time.Now(); time.Since(start) < work; {
	}
}

func report(how string, start time.Time) {
	late := time.Since(start) - work - ticks*period // when the last tick came
	fmt.Printf("%-13s after %d ticks %9.3f ms behind the grid\n", how, ticks, late.Seconds()*1000)
}

func main() {
	start := time.Now()
	for range ticks {
		<-time.After(period)
		busy()
	}
	report("chained sleep", start)

	start = time.Now()
	std := time.NewTicker(period)
	for range ticks {
		<-std.C
		busy()
	}
	std.Stop()
	report("time.Ticker", start)

	clock, err := timer.NewClock(timer.ClockConfig{Precision: timer.Fine})
	if err != nil {
		panic(err)
	}
	defer clock.Close()
	ours, err := clock.NewTicker(timer.TickerConfig{Period: period})
	if err != nil {
		panic(err)
	}
	start = time.Now()
	var last timer.Tick
	for last.N < ticks {
		if last, err = ours.Wait(context.Background()); err != nil {
			panic(err)
		}
		busy()
	}
	report("timer.Ticker", start)
	from, _ := ours.Grid()
	fmt.Printf("tick %d was due at the start + %v\n", last.N, last.Due.Sub(from))
}
