package timer

import "time"

// A backlog keeps the functions that a clock's pool refused, and offers them
// again. It belongs to the clock's goroutine.
type backlog struct {
	clock *Clock
	timer Timer
	tries int // in a row that were refused
	queue []func()
	head  int // of the queue, before it is what was handed over
}

const (
	firstRetry = time.Millisecond
	lastRetry  = time.Second
)

func (b *backlog) init(c *Clock) {
	b.clock = c
	b.timer.Init(b)
}

// submit hands f over, behind those that wait already.
func (b *backlog) submit(f func()) {
	c := b.clock
	if c.cfg.Pool == nil {
		go f()
		return
	}
	if b.len() == 0 && c.cfg.Pool.Submit(f) == nil {
		return
	}
	c.count.refused.Add(1)
	if b.len() >= c.cfg.Backlog {
		c.count.inline.Add(1)
		c.guard(f)
		return
	}
	b.queue = append(b.queue, f)
	c.count.waiting.Add(1)
	if b.len() == 1 {
		b.again()
	}
}

func (b *backlog) len() int { return len(b.queue) - b.head }

// again comes back to the pool later.
func (b *backlog) again() {
	s := &b.clock.shards[0]
	s.arm(&b.timer, s.now().Add(b.pause()))
}

// pause doubles with each refusal.
func (b *backlog) pause() time.Duration { return min(firstRetry<<min(b.tries, 16), lastRetry) }

// Fire collects the backlog. For its shard.
func (b *backlog) Fire(Time) {
	s := &b.clock.shards[0]
	s.due = append(s.due, b)
}

// run offers what waits until the pool refuses again.
func (b *backlog) run() {
	for b.len() > 0 {
		if b.clock.cfg.Pool.Submit(b.queue[b.head]) != nil {
			b.tries++
			b.again()
			return
		}
		b.tries = 0
		b.queue[b.head] = nil
		b.head++
		b.clock.count.waiting.Add(-1)
		if b.head*2 >= len(b.queue) { // half of it is free: move the rest there
			n := copy(b.queue, b.queue[b.head:])
			clear(b.queue[n:])
			b.queue, b.head = b.queue[:n], 0
		}
	}
}
