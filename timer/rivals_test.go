package timer

import "container/heap"

// boxed is what one writes with container/heap.
type boxed struct {
	*plan
	all          []box
	heap         boxes
	heard, ended []*box
	fired        int
}

type box struct {
	when  Time
	index int
	fire  func(Time)
}

func newBoxed(p *plan) rival { return &boxed{plan: p, all: make([]box, p.n+p.n/2)} }

func (b *boxed) others() {
	for i := b.n; i < len(b.all); i++ {
		b.all[i].when = Time(i) * Time(far)
		heap.Push(&b.heap, &b.all[i])
	}
}

func (b *boxed) set(now Time) {
	fire := func(Time) { b.fired++ }
	all := b.all[:len(b.whens)]
	for i, when := range b.whens {
		all[i].when, all[i].fire = now+when, fire
		heap.Push(&b.heap, &all[i])
	}
}

func (b *boxed) line() {
	at := func(i int) *box { return &b.all[i] }
	b.heard, b.ended = pick(b.plan.heard, at), pick(b.plan.ended, at)
}

func (b *boxed) push(now Time) {
	for left := b.later; len(left) > 0; left = left[b.n:] {
		later := left[:len(b.heard)]
		for i, x := range b.heard {
			x.when = now + later[i]
			heap.Fix(&b.heap, x.index)
		}
	}
}

func (b *boxed) stop() {
	for _, x := range b.ended {
		heap.Remove(&b.heap, x.index)
	}
}

func (b *boxed) fire(now Time) {
	b.set(now)
	for b.fired = 0; b.fired < b.n; {
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
