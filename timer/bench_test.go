package timer

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// The benchmarks run each pattern on this package's Heap, on a binary heap made
// with container/heap, and on the runtime's timers, with 1,000 and 100,000
// timers outstanding:
//
//	go test -run - -bench . -benchmem ./timer
var sizes = []int{1000, 100_000}

// far keeps the runtime's timers from firing while they are measured.
const far = time.Hour

// shuffled returns the numbers below n in an order that no prefetcher knows.
func shuffled(n int) []int {
	return rand.New(rand.NewPCG(1, 2)).Perm(n)
}

// filled returns a heap with n timers set at random instants up to far.
func filled(n int) (*Heap, []Timer) {
	h, ts := new(Heap), make([]Timer, n)
	for i, at := range shuffled(n) {
		ts[i].Init(Func(func(Time) {}))
		h.Set(&ts[i], Time(at+1)*(Time(far)/Time(n)))
	}
	return h, ts
}

// boxed is what one writes with container/heap.
type boxed []*box

type box struct {
	when  Time
	index int
	fire  func(Time)
}

func (b boxed) Len() int           { return len(b) }
func (b boxed) Less(i, j int) bool { return b[i].when < b[j].when }
func (b boxed) Swap(i, j int) {
	b[i], b[j] = b[j], b[i]
	b[i].index, b[j].index = i, j
}
func (b *boxed) Push(x any) {
	x.(*box).index = len(*b)
	*b = append(*b, x.(*box))
}
func (b *boxed) Pop() any {
	x := (*b)[len(*b)-1]
	*b = (*b)[:len(*b)-1]
	return x
}

func filledBoxes(n int) (*boxed, []*box) {
	b, all := new(boxed), make([]*box, n)
	for i, at := range shuffled(n) {
		all[i] = &box{when: Time(at+1) * (Time(far) / Time(n)), fire: func(Time) {}}
		heap.Push(b, all[i])
	}
	return b, all
}

// BenchmarkSetStop sets one more timer and stops it again.
func BenchmarkSetStop(b *testing.B) {
	for _, n := range sizes {
		order := shuffled(n)
		b.Run(fmt.Sprintf("heap/%d", n), func(b *testing.B) {
			h, _ := filled(n)
			var t Timer
			t.Init(Func(func(Time) {}))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				h.Set(&t, Time(order[i%n]+1)*(Time(far)/Time(n)))
				h.Stop(&t)
			}
		})
		b.Run(fmt.Sprintf("container/%d", n), func(b *testing.B) {
			h, _ := filledBoxes(n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				t := &box{when: Time(order[i%n]+1) * (Time(far) / Time(n))}
				heap.Push(h, t)
				heap.Remove(h, t.index)
			}
		})
		b.Run(fmt.Sprintf("AfterFunc/%d", n), func(b *testing.B) {
			defer stopAll(runtimeTimers(n))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				time.AfterFunc(far+time.Duration(order[i%n])*time.Microsecond, func() {}).Stop()
			}
		})
	}
}

func runtimeTimers(n int) []*time.Timer {
	ts := make([]*time.Timer, n)
	for i, at := range shuffled(n) {
		ts[i] = time.AfterFunc(far+time.Duration(at)*time.Microsecond, func() {})
	}
	return ts
}

func stopAll(ts []*time.Timer) {
	for _, t := range ts {
		t.Stop()
	}
}

// BenchmarkPushOn moves a timer to a later instant, as each message does with
// the idle deadline of its connection. Every n moves all of them come up once
// and are placed anew, which the figure includes.
func BenchmarkPushOn(b *testing.B) {
	for _, n := range sizes {
		order := shuffled(n)
		b.Run(fmt.Sprintf("heap/%d", n), func(b *testing.B) {
			h, ts := filled(n)
			now := Time(0)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				now += Time(far) / Time(n) / 16 // sixteen messages each within the time-out
				h.Set(&ts[order[i%n]], now+Time(far))
				h.Advance(now)
			}
		})
		b.Run(fmt.Sprintf("container/%d", n), func(b *testing.B) {
			h, ts := filledBoxes(n)
			now := Time(0)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				now += Time(far) / Time(n) / 16
				t := ts[order[i%n]]
				t.when = now + Time(far)
				heap.Fix(h, t.index)
			}
		})
		b.Run(fmt.Sprintf("AfterFunc/%d", n), func(b *testing.B) {
			ts := runtimeTimers(n)
			defer stopAll(ts)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				ts[order[i%n]].Reset(far + time.Duration(i%n)*time.Microsecond)
			}
		})
	}
}

// BenchmarkAdvance sets all n timers and fires them; the figure is for one.
func BenchmarkAdvance(b *testing.B) {
	for _, n := range sizes {
		order := shuffled(n)
		b.Run(fmt.Sprintf("heap/%d", n), func(b *testing.B) {
			h, ts := filled(n)
			b.ReportAllocs()
			for b.Loop() {
				for i := range ts {
					h.Set(&ts[i], Time(order[i]))
				}
				h.Advance(Time(n))
			}
			perTimer(b, n)
		})
		b.Run(fmt.Sprintf("container/%d", n), func(b *testing.B) {
			h, ts := filledBoxes(n)
			*h = (*h)[:0]
			b.ReportAllocs()
			for b.Loop() {
				for i := range ts {
					ts[i].when = Time(order[i])
					heap.Push(h, ts[i])
				}
				for h.Len() > 0 {
					t := heap.Pop(h).(*box)
					t.fire(t.when)
				}
			}
			perTimer(b, n)
		})
		b.Run(fmt.Sprintf("AfterFunc/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			done := make(chan struct{}, n)
			for b.Loop() {
				for i := range n {
					time.AfterFunc(time.Duration(order[i]), func() { done <- struct{}{} })
				}
				for range n {
					<-done
				}
			}
			perTimer(b, n)
		})
	}
}

func perTimer(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/timer")
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		Now()
	}
}
