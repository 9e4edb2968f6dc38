//go:build ignore

// Night plays the night in no time: a job of a minute, whose process is stopped
// from 02:15 to 03:00. Then two programs with the same job.
//
//	go run docs/guide/sched/night.go
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/sched/schedtest"
)

var ctx = context.Background()

// replica is one program.
type replica struct {
	*sched.Scheduler
	clock *schedtest.Clock
}

func newReplica(guard sched.Guard, job sched.Job) replica {
	clock := schedtest.NewClock(time.Date(2026, 11, 22, 2, 10, 0, 0, time.UTC))
	s, err := sched.New(sched.Config{Clock: clock, Apart: -1, Guard: guard})
	if err != nil {
		panic(err)
	}
	job.Name, job.Trigger = "sweep", sched.Every{Period: time.Minute}
	if _, err := s.Add(ctx, job); err != nil {
		panic(err)
	}
	return replica{s, clock}
}

// minutes lets some pass.
func (r replica) minutes(n int) {
	for range n {
		r.clock.Advance(time.Minute)
		r.settle()
	}
}

// settle lets what has begun end, and what comes right after it.
func (r replica) settle() {
	for before := uint64(1 << 63); before != r.Stats().Lines; {
		before = r.Stats().Lines
		r.clock.Advance(0)
		if err := r.Wait(ctx); err != nil {
			panic(err)
		}
	}
}

func main() {
	for _, m := range []struct {
		name   string
		policy sched.MisfirePolicy
	}{{"FireOnce", sched.FireOnce}, {"SkipMissed", sched.SkipMissed}, {"CatchUp", sched.CatchUp}} {
		runs, most := 0, uint64(0)
		r := newReplica(nil, sched.Job{Misfire: sched.Misfire{Policy: m.policy, Most: 10},
			Do: func(_ context.Context, f sched.Fire) error {
				runs++
				most = max(most, f.Missed)
				return nil
			}})
		r.minutes(5)
		r.clock.Stall(45 * time.Minute)
		r.settle()
		r.minutes(5)
		fmt.Printf("%-11s %2d runs, one of which stands for %d more instants:", m.name, runs, most)
		st := r.Stats()
		st.Each(func(o sched.Outcome, why sched.Reason, n uint64) bool {
			fmt.Printf("  %d %v %v", n, o, why)
			return true
		})
		fmt.Println()
	}

	fmt.Println("\ntwo replicas, the lines of the second:")
	guard := new(sched.MemoryGuard)
	job := sched.Job{Guarded: true, Do: func(context.Context, sched.Fire) error { return nil }}
	first, second := newReplica(guard, job), newReplica(guard, job)
	for range 3 {
		first.minutes(1)
		second.minutes(1)
	}
	if err := second.WriteLedger(os.Stdout, sched.Filter{}); err != nil {
		panic(err)
	}
}
