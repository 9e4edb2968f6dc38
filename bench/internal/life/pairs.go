package life

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/bench/internal/proc"
	"github.com/weir-go/weir/timer"
)

// A PairJob is to set and stop timers, from some goroutines at once, while many are set:
//
//	at once     each is stopped as soon as it is set: the others only make the structure large
//	under way   one of the many is stopped and another set in its place, in no order: requests with a time-out
type PairJob struct {
	Pending    int // timers that are set all the time
	Goroutines int
	UnderWay   bool
	Window     time.Duration
}

// Pairs are what setting and stopping a timer cost.
type Pairs struct {
	Each   float64 // nanoseconds from pair to pair, of all goroutines together
	CPU    float64 // processor nanoseconds a pair, 0 where the system does not tell
	Allocs float64 // a pair
	Count  uint64
}

// stopper is a time.Timer or a timer.Alarm.
type stopper interface{ Stop() bool }

// MeasurePairs measures time.AfterFunc and Stop for "std", and the same of a timer.Clock for "clock".
func MeasurePairs(subject string, j PairJob) (Pairs, error) {
	if subject == "std" {
		return measurePairs(j, time.AfterFunc)
	}
	c, err := timer.NewClock(timer.ClockConfig{})
	if err != nil {
		return Pairs{}, err
	}
	p, err := measurePairs(j, c.AfterFunc)
	if left := c.Stats().Pending; err == nil && left != int64(j.Pending/j.Goroutines*j.Goroutines) {
		err = fmt.Errorf("%w: %d timers are left of the %d that nobody stopped", ErrWrong, left, j.Pending)
	}
	if e := c.Close(); err == nil {
		err = e
	}
	return p, err
}

// many is how many pairs are made between two looks at the clock.
const many = 256

func measurePairs[T stopper](j PairJob, after func(time.Duration, func()) T) (Pairs, error) {
	var fired atomic.Uint64
	workers := make([]*worker[T], j.Goroutines)
	for i := range workers {
		w := &worker[T]{mine: make([]T, j.Pending/j.Goroutines), after: after, fire: func() { fired.Add(1) }, x: uint64(i)}
		for k := range w.mine {
			w.mine[k] = after(w.far(), w.fire)
		}
		workers[i] = w
	}
	p := together(workers, j)
	var late uint64
	for _, w := range workers {
		late += w.late
	}
	if fired.Load() != 0 || late != 0 {
		return Pairs{}, fmt.Errorf("%w: %d fired and %d were not set when they were stopped", ErrWrong, fired.Load(), late)
	}
	return p, nil
}

// together lets all workers work for the window.
func together[T stopper](workers []*worker[T], j PairJob) Pairs {
	runtime.GC()
	var busy sync.WaitGroup
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, _ := proc.Own()
	begin := time.Now()
	end := begin.Add(j.Window)
	for _, w := range workers {
		if j.UnderWay {
			busy.Go(func() { w.underWay(end) })
		} else {
			busy.Go(func() { w.atOnce(end) })
		}
	}
	busy.Wait()
	took := time.Since(begin)
	used, _ := proc.Own()
	runtime.ReadMemStats(&after)
	p := Pairs{}
	for _, w := range workers {
		p.Count += w.n
	}
	n := float64(p.Count)
	p.Each, p.CPU, p.Allocs = float64(took)/n, float64(used-cpu)/n, float64(after.Mallocs-before.Mallocs)/n
	return p
}

// A worker is one goroutine of a PairJob. It has a part of the pending timers to itself.
type worker[T stopper] struct {
	mine  []T
	after func(time.Duration, func()) T
	fire  func()
	x     uint64 // random
	n     uint64 // pairs
	late  uint64 // of them, those whose timer was not set when it was stopped
}

// far is an hour to two, in no order.
func (w *worker[T]) far() time.Duration {
	w.x = w.x*6364136223846793005 + 1442695040888963407
	return Far + time.Duration(w.x>>32)*Far>>32
}

func (w *worker[T]) atOnce(end time.Time) {
	for more := true; more; more = time.Now().Before(end) {
		w.n += many
		for range many {
			if t := w.after(w.far(), w.fire); !t.Stop() {
				w.late++
			}
		}
	}
}

// stride leads from timer to timer in an order that is none, and to all of them.
const stride = 7_368_787

func (w *worker[T]) underWay(end time.Time) {
	at := int(w.x % uint64(len(w.mine)))
	for more := true; more; more = time.Now().Before(end) {
		w.n += many
		for range many {
			at = (at + stride) % len(w.mine)
			if !w.mine[at].Stop() {
				w.late++
			}
			w.mine[at] = w.after(w.far(), w.fire)
		}
	}
}
