package line

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// slice is how long a burning goroutine keeps its P before it offers it to others. It is shorter than the
// scheduler's own 10 ms slice: this is a busy program with manners, not a hostile one.
const slice = 200 * time.Microsecond

// burner keeps every P of the process busy, as a program does whose handlers compute.
type burner struct {
	off  atomic.Bool
	busy sync.WaitGroup
	on   bool
}

// start begins n burning goroutines; a second start changes nothing.
func (b *burner) start(n int) {
	if b.on {
		return
	}
	b.on = true
	b.off.Store(false)
	for range n {
		b.busy.Go(b.burn)
	}
}

// stop ends them and returns when the last one has gone.
func (b *burner) stop() {
	b.off.Store(true)
	b.busy.Wait()
	b.on = false
}

func (b *burner) burn() {
	for !b.off.Load() {
		for end := time.Now().Add(slice); time.Now().Before(end); {
		}
		runtime.Gosched()
	}
}
