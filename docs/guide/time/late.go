//go:build ignore

// Late has tickers of each precision tick for some seconds, and says how late
// their ticks were, while nothing else runs in the process or while as many
// goroutines compute as there are cores, bare or on a spare.Pool. A tick that
// comes in the place of others is late against the first of them.
//
//	go run docs/guide/time/late.go
//	go run docs/guide/time/late.go -burn
//	go run docs/guide/time/late.go -burn -spare
package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/timer"
	"github.com/weir-go/weir/timer/spare"
)

var (
	period  = flag.Duration("period", 10*time.Millisecond, "between ticks")
	window  = flag.Duration("for", 3*time.Second, "how long each ticks")
	burn    = flag.Bool("burn", false, "compute meanwhile, on every core")
	onSpare = flag.Bool("spare", false, "compute on a spare.Pool")
)

var sink atomic.Uint64

// compute never yields, until it is over.
func compute(over *atomic.Bool) {
	var x uint64
	for !over.Load() {
		for range 1000 {
			x = x*6364136223846793005 + 1
		}
	}
	sink.Add(x)
}

func main() {
	flag.Parse()
	var over atomic.Bool
	defer over.Store(true)
	submit := func(f func()) error { go f(); return nil }
	cores := runtime.NumCPU()
	if *onSpare {
		pool, err := spare.New(cores)
		check(err)
		submit = pool.Submit
	}
	for range cores {
		if *burn {
			check(submit(func() { compute(&over) }))
		}
	}
	fmt.Printf("%-12s %8s %9s %9s %9s  (ms)  granted\n", "", "mean", "p99", "max", "missed")
	std()
	for _, p := range []timer.Precision{timer.Coarse, timer.Fine, timer.Exact} {
		ours(p)
	}
}

func ours(p timer.Precision) {
	c, err := timer.NewClock(timer.ClockConfig{Precision: p})
	check(err)
	defer c.Close()
	var late []time.Duration
	var missed uint64
	tk, err := c.NewTicker(timer.TickerConfig{Period: *period, Func: func(t timer.Tick) {
		late = append(late, t.At.Sub(t.Due)+time.Duration(t.Skipped)**period)
		missed += t.Skipped
	}})
	check(err)
	c.Sleep(context.Background(), *window)
	check(tk.Drain(context.Background())) // from here on late is ours
	row(p.String(), late, missed, c.Stats().Help)
}

// std measures a time.Ticker. It says nothing of ticks that it left out: they
// are the points of the grid between two that came.
func std() {
	start := time.Now()
	tk := time.NewTicker(*period)
	var late []time.Duration
	var missed, last uint64
	for time.Since(start) < *window {
		<-tk.C
		at := time.Since(start)
		n := max(uint64(at / *period), last+1)
		late = append(late, at-time.Duration(last+1)**period)
		missed += n - last - 1
		last = n
	}
	tk.Stop()
	row("time.Ticker", late, missed, "")
}

func row(name string, late []time.Duration, missed uint64, granted string) {
	slices.Sort(late)
	var sum time.Duration
	for _, d := range late {
		sum += d
	}
	n := len(late)
	if n == 0 {
		fmt.Printf("%-12s did not tick\n", name)
		return
	}
	fmt.Printf("%-12s %8.3f %9.3f %9.3f %9d        %s\n", name, ms(sum)/float64(n),
		ms(late[n*99/100]), ms(late[n-1]), missed, granted)
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

func check(err error) {
	if err != nil {
		panic(err)
	}
}
