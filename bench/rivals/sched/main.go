// Command sched measures schedulers: one measurement a process.
//
//	sched {job} ─► sets up, warms up, then the window ─► result as JSON on one line ─► waits for the end of its input
//
// All of them run the same bodies at the same instants: where a scheduler takes a trigger of one's own it gets the
// grid below, and where it does not the interval of its own that starts at the same time.
package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/reugn/go-quartz/quartz"
	"github.com/robfig/cron/v3"

	"github.com/weir-go/weir/bench/rivals/internal/probe"
	"github.com/weir-go/weir/sched"
)

// job is what to measure.
type job struct {
	Kind    string // a key of kinds
	Subject string // a key of subjects; for skew all of them side by side
	N       int    // jobs, or one-shots that are pending
	Period  time.Duration
	Lead    time.Duration // for intervals: before the first instant, besides what it takes to add the jobs
	Inside  int           // for skew: so many goroutines of the process compute
	Spare   bool          // and they run on a spare.Pool
	Warm    time.Duration
	Window  time.Duration
}

var kinds = map[string]func(job) (any, error){
	"intervals": intervals, "pending": pending, "skew": skew, "drain": drain,
}

// A scheduler is a subject.
type scheduler interface {
	// every calls body at start + n x period, n from 0.
	every(start time.Time, period time.Duration, body func()) error

	// begin starts it.
	begin() error

	// end lets bodies that run end, and returns when they have.
	end() error
}

// A shooter is a scheduler that also takes single shots.
type shooter interface {
	scheduler

	// in calls a body that does nothing after d, unless the shot is cancelled.
	in(d time.Duration) (shot, error)
	cancel(shot) error
}

// shot is what in returns, one of these: boxed in an interface some would take memory that is not theirs.
type shot struct {
	timer *time.Timer
	once  sched.Once
	job   gocron.Job
	entry cron.EntryID
	key   *quartz.JobKey
}

// subjects makes each of them.
var subjects = map[string]func() (scheduler, error){
	"std": newStd, "weir": newWeir, "fine": newFine, "exact": newExact, "prompt": newPrompt, "short": newShort,
	"gocron": newGocron, "robfig": newRobfig, "quartz": newQuartz,
}

func main() {
	probe.Main("sched", func(j job) (any, error) {
		kind := kinds[j.Kind]
		if kind == nil || j.Kind != "skew" && subjects[j.Subject] == nil {
			return nil, fmt.Errorf("nothing is known of %q, %q", j.Kind, j.Subject)
		}
		return kind(j)
	})
}

// live is the memory in use, once all garbage is gone: the heap, and stacks of goroutines.
func live() uint64 {
	var m runtime.MemStats
	runtime.GC() // what the first one found by finalizers and pools goes with the second
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
