//go:build ignore

// Cascade sets timers at four distances and sleeps, as an event loop would, from
// one Next to the following. The instants are made up: an hour is over at once.
//
//	go run docs/guide/time/cascade.go
package main

import (
	"fmt"
	"time"

	"github.com/weir-go/weir/timer"
)

func main() {
	var h timer.Heap
	now := timer.Time(0)

	// Up to 2048 timers are all in the exact heap. Fill it with some that do
	// not come up, or nothing would go to the levels.
	others := make([]timer.Timer, 2048)
	for i := range others {
		others[i].Init(timer.Func(func(timer.Time) {}))
		h.Set(&others[i], timer.Never-1)
	}

	far := []time.Duration{
		5 * time.Millisecond, 300 * time.Millisecond, 10 * time.Second, time.Hour + 7,
	}
	set := make([]timer.Timer, len(far))
	for i, d := range far {
		set[i].Init(timer.Func(func(timer.Time) { fmt.Printf("  %v fires", d) }))
		h.Set(&set[i], now.Add(d))
	}

	for h.Len() > len(others) {
		now, _ = h.Next()
		fmt.Printf("wake %18v", time.Duration(now))
		if h.Advance(now) == 0 {
			fmt.Print("  a bucket opens")
		}
		fmt.Println()
	}
}
