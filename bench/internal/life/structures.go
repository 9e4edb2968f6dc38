package life

import (
	"container/heap"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/weir-go/weir/timer"
)

// Structures are those that this repository and the standard library have, by the name of the subject.
var Structures = map[string]func(*Plan) Structure{
	"heap":      newOurs,
	"container": newBoxed,
	"std":       newRuntimes,
}

// aYear is about when timers that stay are due: after any number of lives.
const aYear = 10000 * Far

// ours is timer.Heap. Its owner sleeps until Next, as a loop does.
type ours struct {
	*Plan
	h            timer.Heap
	ts           []timer.Timer
	due          timer.Time // the instant of the next one to fire
	fired, wrong int
}

func newOurs(p *Plan) Structure { return &ours{Plan: p, ts: make([]timer.Timer, p.All())} }

// Fire counts, and checks that each comes up at its own instant.
func (o *ours) Fire(now timer.Time) {
	o.fired++
	if now != o.due {
		o.wrong++
	}
	o.due += o.Step
}

func (o *ours) Embedded() int { return int(unsafe.Sizeof(timer.Timer{})) }

func (o *ours) Others() {
	for i := o.N; i < len(o.ts); i++ {
		o.ts[i].Init(o)
		o.h.Set(&o.ts[i], timer.Time(aYear+time.Duration(i)*time.Second))
	}
}

func (o *ours) Set(now timer.Time) {
	for i, when := range o.Whens {
		o.ts[i].Init(o)
		o.h.Set(&o.ts[i], now+when)
	}
}

func (o *ours) PushOn(now timer.Time) {
	later := o.Later
	for range Pushes {
		for i, x := range o.Heard {
			o.h.Set(&o.ts[x], now+later[i])
		}
		later = later[o.N:]
	}
}

func (o *ours) Stop() (stopped int) {
	for _, x := range o.Ended {
		if o.h.Stop(&o.ts[x]) {
			stopped++
		}
	}
	return stopped
}

func (o *ours) ComeUp(now timer.Time) (fired, wrong int) {
	o.Set(now)
	o.fired, o.wrong, o.due = 0, 0, now+o.Step
	for o.fired < o.N {
		when, ok := o.h.Next()
		if !ok {
			break
		}
		o.h.Advance(when)
	}
	return o.fired, o.wrong
}

// boxed is what one writes with container/heap.
type boxed struct {
	*Plan
	all          []box
	heap         boxes
	due          timer.Time
	fired, wrong int
}

type box struct {
	when  timer.Time
	index int
	fire  func(timer.Time)
}

func newBoxed(p *Plan) Structure { return &boxed{Plan: p, all: make([]box, p.All())} }

func (b *boxed) Embedded() int { return int(unsafe.Sizeof(box{})) }

func (b *boxed) Others() {
	for i := b.N; i < len(b.all); i++ {
		b.all[i].when = timer.Time(aYear + time.Duration(i)*time.Second)
		heap.Push(&b.heap, &b.all[i])
	}
}

func (b *boxed) fire(now timer.Time) {
	b.fired++
	if now != b.due {
		b.wrong++
	}
	b.due += b.Step
}

func (b *boxed) Set(now timer.Time) {
	fire := b.fire
	for i, when := range b.Whens {
		b.all[i].when, b.all[i].fire = now+when, fire
		heap.Push(&b.heap, &b.all[i])
	}
}

func (b *boxed) PushOn(now timer.Time) {
	later := b.Later
	for range Pushes {
		for i, x := range b.Heard {
			b.all[x].when = now + later[i]
			heap.Fix(&b.heap, b.all[x].index)
		}
		later = later[b.N:]
	}
}

func (b *boxed) Stop() int {
	before := len(b.heap)
	for _, x := range b.Ended {
		heap.Remove(&b.heap, b.all[x].index)
	}
	return before - len(b.heap)
}

func (b *boxed) ComeUp(now timer.Time) (fired, wrong int) {
	b.Set(now)
	b.fired, b.wrong, b.due = 0, 0, now+b.Step
	for b.fired < b.N && len(b.heap) > 0 {
		x := heap.Pop(&b.heap).(*box)
		x.fire(x.when)
	}
	return b.fired, b.wrong
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

// runtimes are timers of the runtime, each far away until ComeUp. Each that fires runs on a goroutine of its own, so
// there is no order to check.
type runtimes struct {
	*Plan
	ts    []*time.Timer
	fired atomic.Int64
	done  chan struct{}
}

func newRuntimes(p *Plan) Structure {
	return &runtimes{Plan: p, ts: make([]*time.Timer, p.All()), done: make(chan struct{})}
}

func (r *runtimes) Embedded() int { return 0 }

func (r *runtimes) fire() {
	if r.fired.Add(1) == int64(r.N) {
		r.done <- struct{}{}
	}
}

func (r *runtimes) Others() {
	for i := r.N; i < len(r.ts); i++ {
		r.ts[i] = time.AfterFunc(aYear+time.Duration(i)*time.Second, r.fire)
	}
}

func (r *runtimes) Set(timer.Time) {
	fire := r.fire
	for i, when := range r.Whens {
		r.ts[i] = time.AfterFunc(Far+time.Duration(when), fire)
	}
}

func (r *runtimes) PushOn(timer.Time) {
	later := r.Later
	for range Pushes {
		for i, x := range r.Heard {
			r.ts[x].Reset(Far + time.Duration(later[i]))
		}
		later = later[r.N:]
	}
}

func (r *runtimes) Stop() (stopped int) {
	for _, x := range r.Ended {
		if r.ts[x].Stop() {
			stopped++
		}
	}
	return stopped
}

// ComeUp has all of them set before the first is due, and then they come up one after the other: a minute is a
// microsecond for each timer.
func (r *runtimes) ComeUp(timer.Time) (fired, wrong int) {
	r.fired.Store(0)
	fire := r.fire
	begin, first := time.Now(), time.Duration(r.N)*Spread+time.Millisecond
	for i, when := range r.Whens {
		r.ts[i] = time.AfterFunc(first-time.Since(begin)+r.Soon(when), fire)
	}
	<-r.done
	return int(r.fired.Load()), 0
}
