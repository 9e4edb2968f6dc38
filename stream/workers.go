package stream

import (
	"sync"
	"time"
)

// workers run the methods with Go, one stream each at a time. One that is done
// waits for the next stream: its stack has grown to what methods need. Those
// that wait for long are let go.
type workers struct {
	max int

	mu     sync.Mutex
	n      int       // goroutines
	idle   []*worker // the last one to become idle is the next to work
	old    int       // of idle, those that were there at the last look
	look   *time.Timer
	closed bool
}

// workerIdle is how often idle workers are looked at: one that has been idle
// since the look before ends.
const workerIdle = 10 * time.Second

type worker struct {
	next chan *Stream // one at most; closed when the worker is to end
}

// serve finds a worker for the stream; false when all are busy. It never waits.
func (w *workers) serve(st *Stream) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if k := len(w.idle); k > 0 {
		x := w.idle[k-1]
		w.idle[k-1] = nil
		w.idle = w.idle[:k-1]
		w.old = min(w.old, k-1)
		x.next <- st
		return true
	}
	if w.n >= w.max || w.closed {
		return false
	}
	w.n++
	x := &worker{next: make(chan *Stream, 1)}
	x.next <- st
	go w.work(x)
	return true
}

// work is a worker's goroutine.
func (w *workers) work(x *worker) {
	finished := false
	defer func() {
		if !finished { // a method has called runtime.Goexit
			w.mu.Lock()
			w.n--
			w.mu.Unlock()
		}
	}()
	for st := range x.next {
		st.serve()
		if !w.rest(x) {
			break
		}
	}
	finished = true
}

// rest makes a worker idle; false when it is to end.
func (w *workers) rest(x *worker) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		w.n--
		return false
	}
	w.idle = append(w.idle, x)
	if w.look == nil {
		w.look = time.AfterFunc(workerIdle, w.trim)
	}
	return true
}

// trim lets those go that have had nothing to do since the last look.
func (w *workers) trim() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	for _, x := range w.idle[:w.old] {
		close(x.next)
	}
	w.n -= w.old
	w.idle = append([]*worker(nil), w.idle[w.old:]...)
	if w.old = len(w.idle); w.old > 0 {
		w.look.Reset(workerIdle)
	} else {
		w.look = nil
	}
}

// close ends those that are idle; the others end when they are done.
func (w *workers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.closed = true
	if w.look != nil {
		w.look.Stop()
	}
	for _, x := range w.idle {
		close(x.next)
	}
	w.n -= len(w.idle)
	w.idle = nil
}
