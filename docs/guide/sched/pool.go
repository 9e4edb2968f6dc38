//go:build ignore

// Pool has 48 jobs come at once for a pool of 20 connections. Each holds one for
// 400 ms, and gives up when it has waited for one for 300 ms.
//
//	go run docs/guide/sched/pool.go
//	go run docs/guide/sched/pool.go -declare
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/sched"
)

const (
	demand      = 48
	connections = 20
	hold        = 400 * time.Millisecond
	patience    = 300 * time.Millisecond
)

var errTimeout = errors.New("no connection")

// pool is a client's, as database/sql has one.
type pool chan struct{}

func (p pool) use() error {
	select {
	case p <- struct{}{}:
	case <-time.After(patience):
		return errTimeout
	}
	<-time.After(hold)
	<-p
	return nil
}

func main() {
	declare := flag.Bool("declare", false, "jobs say what they need")
	flag.Parse()
	s, err := sched.New(sched.Config{Resources: []sched.Resource{{Name: "db", N: connections}}})
	if err != nil {
		panic(err)
	}
	db := make(pool, connections)
	var failed atomic.Int64
	job := sched.Job{Type: "order", Do: func(context.Context, sched.Fire) error {
		err := db.use()
		if err != nil {
			failed.Add(1)
		}
		return err
	}}
	if *declare {
		job.Needs = []sched.Need{{Resource: "db"}}
	}
	ctx, start := context.Background(), time.Now()
	for range demand {
		if err := s.Submit(ctx, job); err != nil {
			panic(err)
		}
	}
	<-time.After(50 * time.Millisecond)
	st := s.Stats()
	fmt.Printf("after 50 ms: %d workers, %d jobs that run, %d that wait to begin\n", st.Workers, st.Running, st.Waiting)
	if err := s.Wait(ctx); err != nil {
		panic(err)
	}
	fmt.Printf("after %d ms: %d of %d found no connection\n", time.Since(start).Milliseconds(), failed.Load(), demand)
	if err := s.Close(ctx); err != nil {
		panic(err)
	}
}
