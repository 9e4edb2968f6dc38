package main

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/bench/rivals/internal/probe"
)

// fires are what came of jobs on a grid, in a window.
type fires struct {
	Due        uint64  // instants in the window
	Fires      uint64  // bodies called in it
	CPU        float64 // ns for each of these
	Late       float64 // share of the instants that were later than 10 ms, or not at all
	Missed     float64 // share of the instants without a body
	P50, P99   float64 // ns
	P999, Most float64
	Setup      float64 // ns of processor time for each job
	Overtaken  bool    // the first instant came before the last job was added: there is nothing else
}

// tooLate is what counts as late.
const tooLate = 10 * time.Millisecond

// gauge takes down how late each body was.
type gauge struct {
	start, open, shut time.Time
	period            time.Duration
	all               atomic.Uint64 // bodies, from the beginning
	n                 atomic.Int64
	late              []time.Duration
}

// body is the i-th job's. Its instant is the last one that has passed: a body that is late by more than a period is
// taken for one that is less late. One that comes up to a tenth of a period early is for the instant that it is before.
func (g *gauge) body(phase time.Duration) func() {
	start := g.start.Add(phase)
	return func() {
		now := time.Now()
		g.all.Add(1)
		if now.Before(g.open) || !now.Before(g.shut) {
			return
		}
		late := max(0, (now.Sub(start)+g.period/10)%g.period-g.period/10)
		if i := g.n.Add(1) - 1; i < int64(len(g.late)) {
			g.late[i] = late
		}
	}
}

// intervals measures N jobs of one period, whose instants are spread over it evenly.
func intervals(j job) (any, error) {
	if j.N < 1 || j.Window%j.Period != 0 {
		return nil, errors.New("jobs have whole periods in the window")
	}
	s, err := subjects[j.Subject]()
	if err != nil {
		return nil, err
	}
	due := uint64(j.N) * uint64(j.Window/j.Period)
	// All jobs are added before the first instant comes. The slowest takes some 50 µs a job.
	began, used := time.Now(), probe.CPU()
	g := &gauge{start: began.Add(j.Lead + time.Duration(j.N)*lead[j.Subject]), period: j.Period,
		late: make([]time.Duration, due+due/4)}
	g.open = g.start.Add(j.Warm.Truncate(j.Period) + j.Period)
	g.shut = g.open.Add(j.Window)
	for i := range j.N {
		phase := time.Duration(i) * j.Period / time.Duration(j.N)
		if err := s.every(g.start.Add(phase), j.Period, g.body(phase)); err != nil {
			return nil, err
		}
	}
	if err := s.begin(); err != nil {
		return nil, err
	}
	if time.Now().After(g.start) {
		return fires{Overtaken: true}, nil
	}
	r := fires{Due: due, Setup: float64(probe.CPU()-used) / float64(j.N)}
	time.Sleep(time.Until(g.open))
	used = probe.CPU()
	time.Sleep(time.Until(g.shut))
	used = probe.CPU() - used
	n := min(int(g.n.Load()), len(g.late))
	if err := finish(s, g); err != nil {
		return nil, err
	}
	r.count(g.late[:n], used)
	return r, nil
}

// lead is how long it takes a subject to add a job, and more.
var lead = map[string]time.Duration{
	"std": 5 * time.Microsecond, "weir": 10 * time.Microsecond, "short": 10 * time.Microsecond,
	"gocron": 120 * time.Microsecond, "robfig": 5 * time.Microsecond, "quartz": 200 * time.Microsecond,
}

func (r *fires) count(late []time.Duration, used time.Duration) {
	n := len(late)
	r.Late, r.Missed = 1, 1
	if n == 0 {
		return
	}
	slices.Sort(late)
	r.Fires = uint64(n)
	r.CPU = float64(used) / float64(n)
	onTime, _ := slices.BinarySearch(late, tooLate+1)
	r.Late = max(0, 1-float64(onTime)/float64(r.Due))
	r.Missed = max(0, 1-float64(n)/float64(r.Due))
	at := func(q float64) float64 { return float64(late[min(n-1, int(q*float64(n)))]) }
	r.P50, r.P99, r.P999, r.Most = at(0.5), at(0.99), at(0.999), float64(late[n-1])
}

// finish ends a subject of ours and holds its ledger to what was seen. The others are ended with the process: to end
// some of them in order takes longer than to measure them.
func finish(s scheduler, g *gauge) error {
	w, ok := s.(weir)
	if !ok {
		return nil
	}
	if err := w.end(); err != nil {
		return err
	}
	return w.accounts(g.all.Load())
}
