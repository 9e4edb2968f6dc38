// Package spare keeps a P free for what has to be on time.
package spare

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/panjf2000/ants/v2"
)

// ErrBusy is what Submit returns when every goroutine of the Pool computes.
var ErrBusy = errors.New("spare: all goroutines compute")

// A Pool runs what computes, on so few goroutines that a P stays free.
//
// A goroutine needs a P to run. When all of them are taken by goroutines that
// compute, one that comes back from a sleep waits until the scheduler takes a P
// from somebody, after 10 ms at best: no thread priority changes that, and a
// timer.Clock of any precision is late by tens of milliseconds. The remedy is to
// let computing goroutines never have all:
//
//	P   ▓▓▓▓▓▓▓▓▓   a goroutine of the pool
//	P   ▓▓▓▓▓▓▓▓▓   another
//	P   ░░ ░  ░░    the collector, a quarter of all while it runs
//	P     ·   ·     free: the clock, and all that is short
//
// So a Pool is bounded, and raises GOMAXPROCS above its bound. With one goroutine
// fewer than there are cores a core is free, too, and ticks are nearly as on an
// idle machine. With one for each core all the work is done, but threads share
// the cores then: one that has a P and waits for a core keeps the collector from
// stopping the world, for milliseconds, and everybody waits with it. What go run
// ./bench timer measures of either, and without it, is in docs/benchmarks.md. It
// is of use only if all that computes for long goes through it.
type Pool struct {
	ants    *ants.Pool
	workers int
	once    sync.Once
}

// New raises GOMAXPROCS, if it is lower, so that a P stays free when that
// many goroutines compute, and makes their pool. Zero workers: one fewer than
// there are Ps now, at least one. GOMAXPROCS belongs to the whole process, and changing it stops
// the world for a moment: one Pool is enough for a process, made at its start
// and closed by who made it.
func New(workers int) (*Pool, error) {
	made.Lock()
	defer made.Unlock()
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
		if made.n > 0 {
			workers = made.before
		}
		workers = max(1, workers-1)
	}
	pool, err := ants.NewPool(workers, ants.WithNonblocking(true))
	if err != nil {
		return nil, err
	}
	if made.n == 0 {
		made.before = runtime.GOMAXPROCS(0)
	}
	made.n++
	if want := procs(workers); runtime.GOMAXPROCS(0) < want {
		runtime.GOMAXPROCS(want)
	}
	return &Pool{ants: pool, workers: workers}, nil
}

// made are the Pools of the process: the last one that is closed puts GOMAXPROCS
// back.
var made struct {
	sync.Mutex
	n, before int
}

// procs is how many Ps leave one for the clock when workers compute and
// the collector has its quarter, rounded up (runtime, gcBackgroundUtilization).
func procs(workers int) int {
	n := workers + 1
	for n-(n+3)/4 <= workers {
		n++
	}
	return n
}

// Submit runs f on a goroutine of the pool, or returns ErrBusy when all
// compute. Any goroutine may call it. A panic of f is the pool's: ants logs it.
func (p *Pool) Submit(f func()) error {
	if err := p.ants.Submit(f); err != nil {
		if errors.Is(err, ants.ErrPoolOverload) {
			return ErrBusy
		}
		return err
	}
	return nil
}

// Workers returns how many goroutines compute at most.
func (p *Pool) Workers() int { return p.workers }

// Close takes no more work, waits for what runs until the context ends, and puts
// GOMAXPROCS back when it was the last Pool.
func (p *Pool) Close(ctx context.Context) error {
	var err error
	p.once.Do(func() {
		err = p.ants.ReleaseContext(ctx)
		made.Lock()
		defer made.Unlock()
		if made.n--; made.n == 0 {
			runtime.GOMAXPROCS(made.before)
		}
	})
	return err
}
