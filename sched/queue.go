package sched

import (
	"context"
	"math"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/weir-go/weir/timer"
)

// Queue is where runs of some jobs wait to begin.
type Queue struct {
	Name string // empty: the default queue, which is there anyway

	// Concurrency is how many of its runs go on at once. Zero: as many as there
	// are workers.
	Concurrency int

	// Capacity is how many wait. Zero: Config.Waiting. Full says what becomes of
	// one more.
	Capacity int
	Full     FullPolicy

	// Rate is how many runs begin in a second, Burst how many of them at once.
	// Zero: no limit, and 1.
	Rate  float64
	Burst int
}

// FullPolicy says what becomes of a run that finds its queue full. A fire of the
// clock has no caller who could wait or run it: with Block and RunInCaller it is
// dropped. The zero value is Reject. Runs between two tries keep their place:
// they come back to a full queue, too.
type FullPolicy uint8

const (
	Reject      FullPolicy = iota // ErrQueueFull
	Block                         // the producer waits, until his context ends
	DropOldest                    // the one that waits longest makes room
	RunInCaller                   // the producer runs it himself, if it could begin now but for a worker; else ErrQueueFull
)

// queue is a Queue at work. It belongs to the Scheduler's lock.
type queue struct {
	Queue
	gate    *gate
	ages    list // runs that wait, the oldest first
	running int
	blocked []chan struct{} // producers, the first one first
}

// Resource is something that there are N of: connections of a client's pool,
// descriptors. A run takes what its job needs before it begins.
type Resource struct {
	Name string
	N    int
}

// newQueue makes the queue with its gate.
func (s *Scheduler) newQueue(q Queue) (*queue, error) {
	switch {
	case s.queues[q.Name] != nil:
		return nil, config("queue %q twice", q.Name)
	case !utf8.ValidString(q.Name):
		return nil, config("queue %q: a name is UTF-8", q.Name)
	case q.Concurrency < 0 || q.Capacity < 0 || !(q.Rate >= 0) || math.IsInf(q.Rate, 1) || q.Burst < 0 || q.Full > RunInCaller:
		return nil, config("queue %q: a negative number or no such policy", q.Name)
	}
	q.Capacity = or(q.Capacity, s.cfg.Waiting)
	g := s.newGate(q.Name, q.Concurrency)
	if q.Rate > 0 {
		g.limit = rate.NewLimiter(rate.Limit(q.Rate), max(q.Burst, 1))
	}
	x := &queue{Queue: q, gate: g}
	s.queues[q.Name] = x
	return x, nil
}

func (s *Scheduler) newGate(name string, total int) *gate {
	g := &gate{s: s, name: name, total: total, free: total}
	g.timer.Init((*tokens)(g))
	return g
}

func (q *queue) full() bool { return q.ages.n >= q.Capacity }

func (q *queue) stats() QueueStats {
	return QueueStats{Name: q.Name, Waiting: q.ages.n, Capacity: q.Capacity, Running: q.running,
		Blocked: len(q.blocked), Paused: q.gate.paused}
}

// enqueue lets a run wait until it may begin. Locked.
func (s *Scheduler) enqueue(r *run, now timer.Time) {
	if r.stage == resting {
		s.count.Retrying--
	}
	r.stage, r.let = waiting, false
	r.spec.queue.ages.push(&r.age)
	s.ready[r.level()].push(&r.place)
	s.readied++
	if r.spec.Deadline > 0 {
		s.set(r.task.heap, &r.timer, r.due.Add(r.spec.Deadline))
	}
}

// withdraw takes a run that waits out of where it does. Locked.
func (s *Scheduler) withdraw(r *run, now timer.Time) {
	s.unqueue(r)
	if g := r.at; g != nil {
		g.unpark(r)
		g.admit(now) // it may have stood before others
		return
	}
	r.place.leave()
	s.readied--
	if r.let {
		r.passOn(now)
	}
}

// unqueue takes a run out of those that wait in its queue. Locked.
func (s *Scheduler) unqueue(r *run) {
	r.age.leave()
	r.spec.queue.room()
}

// room tells a producer who waits for it. Locked.
func (q *queue) room() {
	if len(q.blocked) > 0 && !q.full() {
		close(q.blocked[0])
		q.blocked = q.blocked[1:]
	}
}

// untilRoom returns nil once there is room in the queue, with the lock held; any
// other error without it.
func (s *Scheduler) untilRoom(ctx context.Context, q *queue) error {
	for {
		s.mu.Lock()
		if s.closing {
			s.mu.Unlock()
			return ErrClosed
		}
		if !q.full() {
			return nil
		}
		turn := make(chan struct{})
		q.blocked = append(q.blocked, turn)
		s.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
			s.forgo(q, turn)
			return context.Cause(ctx)
		}
	}
}

// forgo takes a producer out who does not wait any more; if it was his turn it is
// the next one's.
func (s *Scheduler) forgo(q *queue, turn chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range q.blocked {
		if c == turn {
			q.blocked = append(q.blocked[:i:i], q.blocked[i+1:]...)
			return
		}
	}
	q.room()
}
