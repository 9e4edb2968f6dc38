package life

import (
	"container/heap"
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
	Lines[timer.Timer]
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
	ts := o.ts[:len(o.Whens)]
	for i, when := range o.Whens {
		ts[i].Init(o)
		o.h.Set(&ts[i], now+when)
	}
}

func (o *ours) Line() { o.Lines.Line(o.Plan, func(i int32) *timer.Timer { return &o.ts[i] }) }

func (o *ours) PushOn(now timer.Time) {
	heard := o.Lines.Heard
	for left := o.Later; len(left) > 0; left = left[o.N:] {
		later := left[:len(heard)]
		for i, t := range heard {
			o.h.Set(t, now+later[i])
		}
	}
}

func (o *ours) Stop() (stopped int) {
	for _, t := range o.Lines.Ended {
		if o.h.Stop(t) {
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
	Lines[box]
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
	fire, all := b.fire, b.all[:len(b.Whens)]
	for i, when := range b.Whens {
		all[i].when, all[i].fire = now+when, fire
		heap.Push(&b.heap, &all[i])
	}
}

func (b *boxed) Line() { b.Lines.Line(b.Plan, func(i int32) *box { return &b.all[i] }) }

func (b *boxed) PushOn(now timer.Time) {
	heard := b.Lines.Heard
	for left := b.Later; len(left) > 0; left = left[b.N:] {
		later := left[:len(heard)]
		for i, x := range heard {
			x.when = now + later[i]
			heap.Fix(&b.heap, x.index)
		}
	}
}

func (b *boxed) Stop() int {
	before := len(b.heap)
	for _, x := range b.Lines.Ended {
		heap.Remove(&b.heap, x.index)
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
