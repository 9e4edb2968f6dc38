package timer_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-go/weir/timer"
)

// A clock for code that would use package time's timers and contexts.
func ExampleClock() {
	clock, err := timer.NewClock(timer.ClockConfig{})
	if err != nil {
		panic(err)
	}
	defer clock.Close()

	done := make(chan struct{})
	clock.AfterFunc(2*time.Millisecond, func() {
		fmt.Println("two milliseconds have passed")
		close(done)
	})
	reminder := clock.AfterFunc(time.Hour, func() { fmt.Println("never seen") })
	<-done
	fmt.Println("stopped:", reminder.Stop())

	ctx, cancel := clock.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err = clock.Sleep(ctx, time.Hour)
	fmt.Println("slept:", errors.Is(err, context.DeadlineExceeded))
	// Output:
	// two milliseconds have passed
	// stopped: true
	// slept: true
}

// A ticker on a grid, with a thread of its own to be on time. The work of the
// third tick takes longer than the period: what it misses is skipped and
// counted, and the ticks after it are where they would have been without it.
func ExampleTicker() {
	clock, err := timer.NewClock(timer.ClockConfig{Precision: timer.Fine})
	if err != nil {
		panic(err)
	}
	defer clock.Close()

	const period = 5 * time.Millisecond
	ticker, err := clock.NewTicker(timer.TickerConfig{Period: period})
	if err != nil {
		panic(err)
	}
	defer ticker.Stop()
	start, _ := ticker.Grid()
	var before, skipped uint64
	onGrid, complete := true, true
	for i := range 5 {
		tick, err := ticker.Wait(context.Background())
		if err != nil {
			panic(err)
		}
		onGrid = onGrid && tick.Due == start.Add(time.Duration(tick.N)*period)
		complete = complete && tick.N == before+1+tick.Skipped
		before, skipped = tick.N, skipped+tick.Skipped
		if i == 2 {
			for s := ticker.Stats(); s.Late+s.Unread == 0; s = ticker.Stats() { // work, until one was missed
			}
		}
	}
	fmt.Println("the n-th is due at start + n x period:", onGrid)
	fmt.Println("all are there or counted:", complete)
	fmt.Println("some were skipped:", skipped > 0)
	// Output:
	// the n-th is due at start + n x period: true
	// all are there or counted: true
	// some were skipped: true
}
