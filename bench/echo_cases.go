package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/weir-go/weir/bench/internal/line"
	"github.com/weir-go/weir/bench/internal/proc"
)

// echoIdle is what a connection costs that has sent one message and is silent now. The figure is nearly the same
// each time, so it takes fewer rounds.
func echoIdle(b *bench, subjects []subject) error {
	conns, rounds := 10000, min(b.rounds, 3)
	if b.quick {
		rounds = 1
	}
	if limit := descriptors(); conns > limit {
		b.note("idle with %d connections, not %d: a process may open no more descriptors here", limit, conns)
		conns = limit
	}
	b.names["idle"] = fmt.Sprintf("Idle: %d connections after one 64 B message each", conns)
	return b.interleave("idle", subjects, rounds, func(s subject) (*figures, error) {
		return b.idle(s, job{Mode: "idle", Conns: conns, Size: 64, Pipeline: 1, Window: time.Millisecond})
	})
}

func (b *bench) idle(s subject, j job) (f *figures, err error) {
	srv, err := b.start(s, b.onOneCore())
	if err != nil {
		return nil, err
	}
	defer stop(srv.Proc, &err)
	before, err := srv.resident()
	if err != nil {
		b.note("no memory figures: %v", err)
		return nil, nil
	}
	j.Addr, j.Server = srv.addr, srv.PID()
	drv, err := b.open(j, b.driverPlace(b.onOneCore()))
	if err != nil {
		return nil, err
	}
	defer stop(drv.Proc, &err)
	after, err := srv.resident()
	if err != nil {
		return nil, err
	}
	// The window itself is nothing; its result says whether every connection got its message back.
	if r, err := drv.run(); err != nil {
		return nil, err
	} else if r.All != uint64(j.Conns) {
		return nil, fmt.Errorf("%w: %d of %d connections answered", errBad, r.All, j.Conns)
	}
	f = &figures{values: map[string]float64{"memory_per_connection": float64(after-before) / float64(j.Conns)}}
	if n, ok, err := srv.number(line.Goroutines); err != nil {
		return nil, err
	} else if ok {
		f.values["goroutines"] = n
	}
	return f, nil
}

// resident is the server's memory once it has collected its garbage.
func (s *server) resident() (int64, error) {
	if _, err := s.can(line.GC); err != nil {
		return 0, err
	}
	return proc.Resident(s.PID())
}

// echoChurn is the cost of a connection that lives for one message.
func echoChurn(b *bench, subjects []subject) error {
	j := job{Mode: "churn", Conns: 64, Size: 64, Pipeline: 1, Warm: b.warm, Window: b.window}
	return b.interleave("churn", subjects, b.rounds, func(s subject) (*figures, error) {
		return b.load(s, j, b.onOneCore())
	})
}

// echoSparse is the cost of messages that come alone, most of it not their own: of waking up and going to sleep. The
// cores are everybody's, as they are to a server with little to do.
func echoSparse(b *bench, subjects []subject) error {
	for _, rate := range []int{300, 3000} {
		id := fmt.Sprint("sparse-", rate)
		b.names[id] = fmt.Sprintf("64 connections × 64 B, %d messages a second together", rate)
		j := job{Mode: "echo", Conns: 64, Size: 64, Pipeline: 1, Rate: rate, Warm: b.warm, Window: b.window}
		err := b.interleave(id, subjects, b.rounds, func(s subject) (*figures, error) {
			return b.load(s, j, everywhere())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// echoBurnt is the latency that is left when handlers elsewhere in the process compute: twice as many burning
// goroutines as cores, and neither the server nor the driver has a core of its own.
func echoBurnt(b *bench, subjects []subject) error {
	j := job{Mode: "echo", Conns: 16, Size: 64, Pipeline: 1, Warm: b.warm, Window: b.window}
	return b.interleave("burnt", subjects, b.rounds, func(s subject) (*figures, error) {
		f, err := b.load(s, j, everywhere(), line.BurnOn)
		if f != nil { // the CPU of the burning goroutines is in it
			delete(f.values, "cpu_per_request")
		}
		return f, err
	})
}

// echoSyscalls counts the server's system calls between two points at which no request is under way. strace slows
// the server down a lot: counts only, and more connections are ready at each wait than there would be.
func echoSyscalls(b *bench, subjects []subject) error {
	if reason := noStrace(); reason != "" {
		b.note("system calls not counted: %s", reason)
		return nil
	}
	rounds := min(b.rounds, 3)
	if b.quick {
		rounds = 1
	}
	j := job{Mode: "echo", Conns: 64, Size: 64, Pipeline: 1, Window: min(b.window, time.Second)}
	b.names["syscalls"] = "System calls of 64 connections × 64 B × 1, under strace"
	return b.interleave("syscalls", subjects, rounds, func(s subject) (*figures, error) { return b.syscalls(s, j) })
}

func (b *bench) syscalls(s subject, j job) (f *figures, err error) {
	srv, err := b.start(s, b.onOneCore(), "-buffer", strconv.Itoa(4096))
	if err != nil {
		return nil, err
	}
	defer stop(srv.Proc, &err)
	j.Addr, j.Server = srv.addr, srv.PID()
	drv, err := b.open(j, b.driverPlace(b.onOneCore()))
	if err != nil {
		return nil, err
	}
	defer stop(drv.Proc, &err)
	trace, err := attach(srv.PID(), b.scratch)
	if err != nil {
		b.note("system calls of %s not counted: %v", s.id, err)
		return nil, nil
	}
	r, failed := drv.run()
	calls, err := trace.detach()
	if failed != nil {
		return nil, failed
	}
	if err != nil {
		return nil, err
	}
	return &figures{values: perRequest(calls, r.All)}, nil
}
