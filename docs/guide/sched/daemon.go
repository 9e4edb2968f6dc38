//go:build ignore

// Daemon is a whole program with jobs: what it did is on the disk before it does
// it, SIGTERM ends it in order, and its ledger is printed.
//
//	go run docs/guide/sched/daemon.go
//
// End it with Ctrl-C, or with kill -9, and start it again: the job of a second
// says how many instants nobody was there for.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/weir-go/weir/lifecycle"
	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/sched/boltstate"
)

func main() {
	state, err := boltstate.Open(boltstate.Config{Path: filepath.Join(os.TempDir(), "weir-daemon.db")})
	if err != nil {
		log.Fatal(err)
	}
	s, err := sched.New(sched.Config{State: state})
	if err != nil {
		log.Fatal(err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		log.Fatal(err)
	}
	rhythm, err := sched.Cron("*/5 * * * * *", berlin) // six fields: the first is the second
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	jobs := []sched.Job{
		{Name: "second", Trigger: sched.Every{Period: time.Second}, Durable: true, Crash: sched.RunAgain, Do: say},
		{Name: "cron", Trigger: rhythm, Do: say},
		{Name: "slow", Trigger: sched.Every{Period: time.Second}, Do: slow}, // skips what it has no time for
	}
	for _, j := range jobs {
		if _, err := s.Add(ctx, j); err != nil {
			log.Fatal(err)
		}
	}

	kit := lifecycle.Kit{Parts: []lifecycle.Part{
		{Name: "scheduler", Stage: lifecycle.Tasks, Stop: s.Close}, // drains: slow has its time
		{Name: "state", Stage: lifecycle.Clients, Stop: func(context.Context) error { return state.Close() }},
	}}
	err = kit.Run(ctx)
	if err := s.WriteLedger(os.Stdout, sched.Filter{Last: 12}); err != nil {
		log.Fatal(err)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func say(_ context.Context, f sched.Fire) error {
	fmt.Printf("%-6s %s, and %d before it; cut off before: %v\n", f.Job, f.Instant.Time().Format("15:04:05"), f.Missed, f.Again)
	return nil
}

func slow(ctx context.Context, f sched.Fire) error {
	select {
	case <-time.After(2500 * time.Millisecond):
		return say(ctx, f)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
