package sched

import (
	"time"

	"github.com/panjf2000/ants/v2"
)

// Pool runs workers. A *spare.Pool is one, which keeps a P free for the clock;
// a Scheduler without one makes its own.
type Pool interface {
	// Submit runs f soon on another goroutine, or returns an error and will not
	// run it. It does not wait.
	Submit(f func()) error
}

// antsPool is a Scheduler's own.
type antsPool struct{ *ants.Pool }

// newPool makes one without a bound: the Scheduler starts no more workers than
// it may, and one that is about to go back would count against a bound that the
// next one is measured by already.
func newPool() (*antsPool, error) {
	p, err := ants.NewPool(-1, ants.WithExpiryDuration(10*time.Second))
	if err != nil {
		return nil, err
	}
	return &antsPool{p}, nil
}

// Close ends the goroutines that are free; one that works ends after that.
func (p *antsPool) Close() { p.Release() }
