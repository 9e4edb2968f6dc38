package timer

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/panjf2000/ants/v2"
)

// ErrSpareBusy is what Submit returns when every goroutine of a Spare computes.
var ErrSpareBusy = errors.New("timer: all goroutines of the spare pool are busy")

// A Spare runs what computes, on so few goroutines that a P stays free.
//
// A goroutine needs a P to run. When all of them are taken by goroutines that
// compute, one that comes back from a sleep waits until the scheduler takes a P
// from somebody, after 10 ms at best: no thread priority changes that, and a
// Clock of any precision is late by tens of milliseconds. The remedy is to let
// computing goroutines never have all:
//
//	P   ▓▓▓▓▓▓▓▓▓   a goroutine of the pool
//	P   ▓▓▓▓▓▓▓▓▓   another: as many as there are cores
//	P   ░░ ░  ░░    the collector, a quarter of all while it runs
//	P     ·   ·     free: the clock, and all that is short
//
// So a Spare raises GOMAXPROCS above the number of cores and bounds the pool by
// it. The operating system shares the cores among the threads then, and for
// that the clock's thread has its slice or policy. It is of use only if all that
// computes for long goes through it. What go run ./bench timer measures with
// and without it is in docs/benchmarks.md.
type Spare struct {
	pool    *ants.Pool
	workers int
	once    sync.Once
}

// NewSpare raises GOMAXPROCS, if it is lower, so that a P stays free when that
// many goroutines compute, and makes their pool. Zero workers: one for each P
// there is now. GOMAXPROCS belongs to the whole process, and changing it stops
// the world for a moment: one Spare is enough for a process, made at its start
// and closed by who made it.
func NewSpare(workers int) (*Spare, error) {
	spares.Lock()
	defer spares.Unlock()
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
		if spares.n > 0 {
			workers = spares.before
		}
	}
	pool, err := ants.NewPool(workers, ants.WithNonblocking(true))
	if err != nil {
		return nil, err
	}
	if spares.n == 0 {
		spares.before = runtime.GOMAXPROCS(0)
	}
	spares.n++
	if want := spareProcs(workers); runtime.GOMAXPROCS(0) < want {
		runtime.GOMAXPROCS(want)
	}
	return &Spare{pool: pool, workers: workers}, nil
}

// spares are those of the process: the last one that is closed puts GOMAXPROCS
// back.
var spares struct {
	sync.Mutex
	n, before int
}

// spareProcs is how many Ps leave one for the clock when workers compute and
// the collector has its quarter, rounded up (runtime, gcBackgroundUtilization).
func spareProcs(workers int) int {
	procs := workers + 1
	for procs-(procs+3)/4 <= workers {
		procs++
	}
	return procs
}

// Submit runs f on a goroutine of the pool, or returns ErrSpareBusy when all
// compute. Any goroutine may call it. A panic of f is the pool's: ants logs it.
func (s *Spare) Submit(f func()) error {
	if err := s.pool.Submit(f); err != nil {
		if errors.Is(err, ants.ErrPoolOverload) {
			return ErrSpareBusy
		}
		return err
	}
	return nil
}

// Workers returns how many goroutines compute at most.
func (s *Spare) Workers() int { return s.workers }

// Close takes no more work, waits for what runs until the context ends, and puts
// GOMAXPROCS back when it was the last Spare.
func (s *Spare) Close(ctx context.Context) error {
	var err error
	s.once.Do(func() {
		err = s.pool.ReleaseContext(ctx)
		spares.Lock()
		defer spares.Unlock()
		if spares.n--; spares.n == 0 {
			runtime.GOMAXPROCS(spares.before)
		}
	})
	return err
}
