package sched_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/sched/schedtest"
)

// A job that goes on longer than its period, and what the ledger says of it.
func ExampleScheduler() {
	clock := schedtest.NewClock(time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC))
	s, err := sched.New(sched.Config{Clock: clock}) // without one: the real one
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	slow := make(chan bool)
	_, err = s.Add(ctx, sched.Job{
		Name:    "report",
		Trigger: sched.Every{Period: time.Minute},
		Do: func(ctx context.Context, f sched.Fire) error {
			<-slow
			return nil
		},
	})
	if err != nil {
		panic(err)
	}
	clock.Advance(3 * time.Minute)
	close(slow)
	if err := s.Close(ctx); err != nil {
		panic(err)
	}
	for _, l := range s.Ledger(sched.Filter{}) {
		fmt.Println(l.Instant.Format("15:04"), l.Outcome, l.Reason)
	}
	// Output:
	// 03:02 skipped overlap
	// 03:03 skipped overlap
	// 03:01 ran
}

// One million of these can wait at a time.
func ExampleScheduler_In() {
	s, err := sched.New(sched.Config{})
	if err != nil {
		panic(err)
	}
	defer s.Close(context.Background())
	parent, end := context.WithCancel(context.Background())
	_, err = s.In(parent, time.Minute, func(context.Context, sched.Fire) error {
		fmt.Println("not reached: the parent has ended before")
		return nil
	})
	if err != nil {
		panic(err)
	}
	end()
	// Output:
}

// A run begins when the connections that it needs are free, and occupies no
// worker before.
func ExampleScheduler_Submit() {
	s, err := sched.New(sched.Config{
		Queues:    []sched.Queue{{Name: "orders", Capacity: 1000, Full: sched.Block}},
		Resources: []sched.Resource{{Name: "db", N: 20}},
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	type order struct{ id int }
	for id := range 3 {
		// The argument has a type of its own, and is bound here.
		do := sched.Typed(order{id}, func(ctx context.Context, f sched.Fire, o order) error {
			return nil // with one of the 20 connections
		})
		err := s.Submit(ctx, sched.Job{Name: fmt.Sprint("order ", id), Do: do, Queue: "orders",
			Needs: []sched.Need{{Resource: "db"}}, Timeout: 3 * time.Second})
		if errors.Is(err, sched.ErrQueueFull) {
			break // a queue that rejects says so to its producers
		}
	}
	if err := s.Close(ctx); err != nil {
		panic(err)
	}
	st := s.Stats()
	fmt.Println(st.Instants(sched.Ran))
	// Output: 3
}

// Two replicas of a program fire at the same instant. One executes.
func ExampleGuard() {
	guard := new(sched.MemoryGuard) // in earnest one that replicas share
	clocks := make([]*schedtest.Clock, 2)
	for i := range clocks {
		clocks[i] = schedtest.NewClock(time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC))
		s, err := sched.New(sched.Config{Clock: clocks[i], Guard: guard})
		if err != nil {
			panic(err)
		}
		_, err = s.Add(context.Background(), sched.Job{Name: "bill", Guarded: true, Trigger: sched.Every{Period: time.Hour},
			Do: func(ctx context.Context, f sched.Fire) error {
				fmt.Println(f.Key(), "fence", f.Fence)
				return nil
			}})
		if err != nil {
			panic(err)
		}
		clocks[i].Advance(time.Hour)
		defer s.WriteLedger(os.Stderr, sched.Filter{Outcomes: []sched.Outcome{sched.Failed}})
		if err := s.Close(context.Background()); err != nil {
			panic(err)
		}
	}
	// Output: bill@2026-11-22T04:00:00Z fence 1
}
