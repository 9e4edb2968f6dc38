package lateness

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/timer/spare"
)

// Work is what computes in the process of a ticker: it never waits and never yields, and it allocates, so that the
// collector runs some ten times a second.
type Work struct {
	off  atomic.Bool
	busy sync.WaitGroup
	pool *spare.Pool

	steps atomic.Uint64
}

// Start begins n goroutines that compute. Pooled they run on a spare.Pool of as many workers, which raises
// GOMAXPROCS: the remedy that is measured.
func (w *Work) Start(n int, pooled bool) error {
	if !pooled {
		for range n {
			w.busy.Go(w.run)
		}
		return nil
	}
	var err error
	if w.pool, err = spare.New(n); err != nil {
		return err
	}
	for range n {
		w.busy.Add(1)
		if err := w.pool.Submit(func() { defer w.busy.Done(); w.run() }); err != nil {
			w.busy.Done()
			return err
		}
	}
	return nil
}

// Steps is how many steps were done so far: what the ticker and the remedy leave to those who compute.
func (w *Work) Steps() uint64 { return w.steps.Load() }

// Stop ends it and returns when the last goroutine has gone.
func (w *Work) Stop() error {
	w.off.Store(true)
	w.busy.Wait()
	if w.pool == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return w.pool.Close(ctx)
}

// A leaf is what a step allocates: about a kilobyte, with a pointer in it.
type leaf struct {
	name  *[2]uint64
	words [124]uint64
}

// kept is how many leaves each goroutine keeps alive: some four megabytes for the collector to look at.
const kept = 4096

func (w *Work) run() {
	ring := make([]*leaf, kept)
	x := uint64(1)
	for i := 0; !w.off.Load(); i++ {
		l := &leaf{name: &[2]uint64{x, uint64(i)}}
		for range 64 { // some 10 µs
			for k := range l.words {
				x = x*6364136223846793005 + l.words[k] + 1
				l.words[k] = x >> 7
			}
		}
		ring[i%kept] = l
		w.steps.Add(1)
	}
}
