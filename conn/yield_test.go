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
// the others. The scheduler, which may interrupt anybody, gets several tries.
func TestLoopYieldsToAllThatAreQuick(t *testing.T) {
	const readied = 200 // at least three looks at the global queue, and no more than a P's queue has room for
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	r := newRig(t, Config{})
	for _, c := range []struct {
		what  string
		ended timer.Time // the turn's end: all that the loop knows of how quick they are
		all   bool
	}{
		{"quick", timer.Never, true},
		{"slow", -timer.Time(time.Second), false},
	} {
		n := 0
		for try := 0; try == 0 || try < 5 && (n == readied) != c.all; try++ {
			r.l.rest.ended, r.l.handed = c.ended, readied
			n = ranBefore(readied, r.l.manners)
		}
		if all := n == readied; all != c.all {
			t.Errorf("%s: %d of %d have run", c.what, n, readied)
		}
	}
}

// ranBefore readies n goroutines, and returns how many have run when f has returned.
func ranBefore(n int, f func()) (ran int) {
	var wait, all sync.WaitGroup
	var mu sync.Mutex
	start := sync.NewCond(&mu)
	wait.Add(n)
	for range n {
		all.Go(func() {
			mu.Lock()
			wait.Done()
			start.Wait()
			ran++
			mu.Unlock()
		})
	}
	wait.Wait()
	mu.Lock()
	start.Broadcast()
	mu.Unlock()
	f()
	mu.Lock()
	had := ran
	mu.Unlock()
	all.Wait()
	return had
}

// seen notes what a connection's handler is called for.
type seen struct{ calls []string }

func (s *seen) Data(c *Conn) error {
	s.calls = append(s.calls, "data")
	c.Discard(c.Buffered())
	return nil
}
func (s *seen) Closed(*Conn, error) {}
func (s *seen) Poked(c *Conn) {
	s.calls = append(s.calls, "poked")
	c.Handed()
}

// What goroutines have left while the loop has yielded is done before it looks for
// what has come. Those that this readies are yielded to in the turn that follows.
func TestLoopAnswersBeforeItLooks(t *testing.T) {
	r, share := restless(t, Config{})
	share(1000) // it does not park
	h := &seen{}
	c, peer := r.pair(Options{}, func(*Conn) Handler { return h })
	r.settle()
	say(t, peer, []byte("news"))
	c.Poke()
	turns := r.rt.Stats().Loops[0].Turns
	r.l.handed = 1
	r.step(r.l.manners)
	if len(h.calls) != 1 || h.calls[0] != "poked" {
		t.Errorf("before it looks: %q", h.calls)
	}
	if s := r.rt.Stats().Loops[0]; s.Turns != turns+1 || s.TurnTime.Count != s.Turns {
		t.Errorf("%d turns were counted, of %d the time", s.Turns-turns, s.TurnTime.Count)
	}
	for _, want := range []int{1, 0} { // readied in the answer, and no more
		if r.l.patience() != 0 {
			t.Error("it sleeps")
		}
		if r.turn(); r.l.handed != want {
			t.Errorf("%d handed, want %d", r.l.handed, want)
		}
	}
	if len(h.calls) != 2 || h.calls[1] != "data" || r.l.patience() == 0 {
		t.Errorf("in the end: %q", h.calls)
	}
}
