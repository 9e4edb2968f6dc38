package drive

import "sync"

// tally counts for the connections of one loop. The loop writes, the goroutine
// that measures reads: both with mu held, once for each batch of messages. Two
// loops never meet here.
type tally struct {
	mu sync.Mutex

	open    bool // the window: while it is, what has come back sends the next
	out     int  // messages under way (Churn: connections)
	figures figures

	_ [64]byte // the next loop's tally is on a cache line of its own
}

// figures are what a window adds up to.
type figures struct {
	requests uint64 // came back while the window was open
	sent     uint64
	conns    uint64 // Churn: opened
	latency  Latency
}

// take returns the figures and begins new ones.
func (t *tally) take() figures {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.figures
	t.figures = figures{latency: Latency{counts: new([buckets]uint64)}} // here, not while recording
	return f
}

// failures counts what went wrong, which is rare: one for all loops.
type failures struct {
	mu         sync.Mutex
	errors     uint64
	mismatches uint64
	first      error
	ever       error // first, and not forgotten by take
}

func (f *failures) add(err error, mismatch bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if mismatch {
		f.mismatches++
	} else {
		f.errors++
	}
	if f.first == nil {
		f.first = err
	}
	if f.ever == nil {
		f.ever = err
	}
}

func (f *failures) count() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.errors + f.mismatches
}

// example returns one failure, nil when there never was one.
func (f *failures) example() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ever
}

// take moves the counts into r.
func (f *failures) take(r *Result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Errors, r.Mismatches, r.Failure = f.errors, f.mismatches, f.first
	f.errors, f.mismatches, f.first = 0, 0, nil
}
