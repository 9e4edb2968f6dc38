package timer

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// The benchmarks run the life of a timer on this package's Heap, on a binary
// heap made with container/heap, and on the runtime's timers, with as many
// outstanding as the name says:
//
//	go test -run - -bench . -benchtime 200ms -count 5 ./timer
var sizes = []int{1000, 100_000, 1_000_000}

// far keeps the runtime's timers from firing while they are measured.
const far = time.Hour

// shuffled returns the numbers below n in an order that no prefetcher knows.
func shuffled(n int, seed uint64) []int {
	return rand.New(rand.NewPCG(seed, 0)).Perm(n)
}

// filled returns a heap with n timers set at random instants up to far.
func filled(n int) (*Heap, []Timer) {
	h, ts := new(Heap), make([]Timer, n)
	for i, at := range shuffled(n, 1) {
		ts[i].Init(Func(func(Time) {}))
		h.Set(&ts[i], Time(at+1)*(Time(far)/Time(n)))
	}
	return h, ts
}

// A rival is one structure with n timers, each known by its number.
type rival interface {
	set(i int, when Time)
	reset(i int, when Time)
	stop(i int)
	fire(now Time, order []int, step Time) // sets all, step apart from now on, and fires them
}

// ours is the Heap. Its owner sleeps until Next, as a loop does.
type ours struct {
	h  Heap
	ts []Timer
}

func newOurs(n int) rival {
	o := &ours{ts: make([]Timer, n)}
	for i := range o.ts {
		o.ts[i].Init(Func(func(Time) {}))
	}
	return o
}

func (o *ours) set(i int, when Time)   { o.h.Set(&o.ts[i], when) }
func (o *ours) reset(i int, when Time) { o.h.Set(&o.ts[i], when) }
func (o *ours) stop(i int)             { o.h.Stop(&o.ts[i]) }

func (o *ours) fire(now Time, order []int, step Time) {
	for i, at := range order {
		o.set(i, now+Time(at+1)*step)
	}
	for left := len(order); left > 0; {
		when, _ := o.h.Next()
		left -= o.h.Advance(when)
	}
}

// boxed is what one writes with container/heap.
type boxed struct {
	all  []*box
	heap boxes
}

type box struct {
	when  Time
	index int
	fire  func(Time)
}

func newBoxed(n int) rival { return &boxed{all: make([]*box, n)} }

func (b *boxed) set(i int, when Time) {
	b.all[i] = &box{when: when, fire: func(Time) {}}
	heap.Push(&b.heap, b.all[i])
}

func (b *boxed) reset(i int, when Time) {
	b.all[i].when = when
	heap.Fix(&b.heap, b.all[i].index)
}

func (b *boxed) stop(i int) { heap.Remove(&b.heap, b.all[i].index) }

func (b *boxed) fire(now Time, order []int, step Time) {
	for i, at := range order {
		b.set(i, now+Time(at+1)*step)
	}
	for range order {
		x := heap.Pop(&b.heap).(*box)
		x.fire(x.when)
	}
}

type boxes []*box

func (b boxes) Len() int           { return len(b) }
func (b boxes) Less(i, j int) bool { return b[i].when < b[j].when }
func (b boxes) Swap(i, j int) {
	b[i], b[j] = b[j], b[i]
	b[i].index, b[j].index = i, j
}
func (b *boxes) Push(x any) {
	x.(*box).index = len(*b)
	*b = append(*b, x.(*box))
}
func (b *boxes) Pop() any {
	x := (*b)[len(*b)-1]
	*b = (*b)[:len(*b)-1]
	return x
}

// runtimes are timers of the runtime, each far away until fire.
type runtimes struct {
	ts   []*time.Timer
	done chan struct{}
}

func newRuntimes(n int) rival {
	return &runtimes{ts: make([]*time.Timer, n), done: make(chan struct{}, n)}
}

func (r *runtimes) set(i int, when Time) {
	r.ts[i] = time.AfterFunc(far+time.Duration(when), func() {})
}
func (r *runtimes) reset(i int, when Time) { r.ts[i].Reset(far + time.Duration(when)) }
func (r *runtimes) stop(i int)             { r.ts[i].Stop() }

func (r *runtimes) fire(_ Time, order []int, _ Time) {
	for i, at := range order {
		r.ts[i] = time.AfterFunc(time.Duration(at), func() { r.done <- struct{}{} })
	}
	for range order {
		<-r.done
	}
}

// cpu returns the processor time that this process has used: other processes
// take their share of a machine's time, and none of this.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var rivals = []struct {
	name string
	make func(n int) rival
}{{"heap", newOurs}, {"container", newBoxed}, {"AfterFunc", newRuntimes}}

// BenchmarkLife sets n timers within a minute, moves each of them on by a
// minute or less, stops them, each in a random order of its own, and at last
// sets and fires them all with a wake-up for each. Half as many others stay set
// all the while, so that n is about what is outstanding on average, and no
// storage is given back that is wanted again. The figures are nanoseconds for
// one timer.
func BenchmarkLife(b *testing.B) {
	for _, n := range sizes {
		for _, r := range rivals {
			b.Run(fmt.Sprintf("%s/%d", r.name, n), func(b *testing.B) { life(b, n, r.make(n+n/2)) })
		}
	}
}

func life(b *testing.B, n int, w rival) {
	const minute = Time(time.Minute)
	step := minute / Time(n)
	first, second, third := shuffled(n, 1), shuffled(n, 2), shuffled(n, 3)
	now := Time(0)
	phases := [...]func(i int){
		func(i int) { w.set(first[i], now+Time(second[i]+1)*step) },
		func(i int) { w.reset(second[i], now+Time(i+1)*step+minute) },
		func(i int) { w.stop(third[i]) },
	}
	var spent [len(phases) + 1]time.Duration
	for i := n; i < n+n/2; i++ {
		w.set(i, now+Time(i)*Time(far))
	}
	round := func() {
		for p, f := range phases {
			begin := cpu()
			for i := range n {
				f(i)
			}
			spent[p] += cpu() - begin
		}
		begin := cpu()
		w.fire(now, first, step)
		spent[len(phases)] += cpu() - begin
		now += minute
	}
	round() // one that does not count: storage grows in it
	clear(spent[:])
	for b.Loop() {
		round()
	}
	b.ReportMetric(0, "ns/op")
	for p, name := range []string{"set-ns", "reset-ns", "stop-ns", "set+fire-ns"} {
		b.ReportMetric(float64(spent[p])/float64(b.N)/float64(n), name)
	}
}

// BenchmarkPushOn moves a timer to a later instant, as each message does with
// the idle deadline of its connection. Every 16n moves all of them come up once
// and are placed anew, which the figure includes.
func BenchmarkPushOn(b *testing.B) {
	for _, n := range sizes {
		order := shuffled(n, 1)
		b.Run(fmt.Sprintf("heap/%d", n), func(b *testing.B) {
			h, ts := filled(n)
			now := Time(0)
			for i := 0; b.Loop(); i++ {
				now += Time(far) / Time(n) / 16 // sixteen messages each within the time-out
				h.Set(&ts[order[i%n]], now+Time(far))
				h.Advance(now)
			}
		})
	}
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		Now()
	}
}
