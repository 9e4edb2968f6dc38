package conn

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/timer"
)

// All goroutines that a turn has readied run before the loop goes on: what they
// answer leaves together. Where the first of them are slow, it does not wait for
// the others.
func TestLoopYieldsToAllThatAreQuick(t *testing.T) {
	const readied = 200 // at least three looks at the global queue, and no more than a P's queue has room for
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, c := range []struct {
		what  string
		ended timer.Time // the turn's end: all that the loop knows of how quick they are
		all   bool
	}{
		{"quick", timer.Never, true},
		{"slow", -timer.Time(time.Second), false},
	} {
		r := newRig(t, Config{})
		var wait, ran sync.WaitGroup
		var mu sync.Mutex
		n := 0
		start := sync.NewCond(&mu)
		wait.Add(readied)
		for range readied {
			ran.Go(func() {
				mu.Lock()
				wait.Done()
				start.Wait()
				n++
				mu.Unlock()
			})
		}
		wait.Wait()
		mu.Lock()
		start.Broadcast()
		mu.Unlock()
		r.l.rest.ended, r.l.handed = c.ended, readied
		r.l.manners()
		mu.Lock()
		if all := n == readied; all != c.all {
			t.Errorf("%s: %d of %d have run", c.what, n, readied)
		}
		mu.Unlock()
		ran.Wait()
	}
}
