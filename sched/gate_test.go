package sched_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
)

func job(name string, do sched.Body) sched.Job { return sched.Job{Name: name, Do: do} }

func (k *kit) submit(j sched.Job) {
	k.t.Helper()
	k.ok(k.Submit(k.t.Context(), j))
}

func TestQueueIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		full  sched.FullPolicy
		err   error
		lines string // of what does not run
		runs  string
	}{
		"reject":        {sched.Reject, sched.ErrQueueFull, "c: hand dropped queue full", "h a b"},
		"drop oldest":   {sched.DropOldest, nil, "a: hand dropped pushed out", "h b c"},
		"run in caller": {sched.RunInCaller, nil, "", "h c a b"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, sched.Config{Workers: 1, Queues: []sched.Queue{{Capacity: 2, Full: test.full}}})
			var n names
			h := newHeld()
			k.submit(job("h", func(ctx context.Context, f sched.Fire) error {
				_ = n.do("h")(ctx, f)
				return h.do(ctx, f)
			}))
			k.begins(h)
			k.submit(job("a", n.do("a")))
			k.submit(job("b", n.do("b")))
			if got := k.Room(""); got != 0 {
				t.Errorf("room for %d", got)
			}
			if err := k.Submit(t.Context(), job("c", n.do("c"))); !errors.Is(err, test.err) {
				t.Errorf("%v, want %v", err, test.err)
			}
			h.end <- nil
			k.settle()
			if got := n.said(); got != test.runs {
				t.Errorf("ran %s, want %s", got, test.runs)
			}
			for _, job := range []string{"a", "b", "c"} {
				if got := k.told(job); got != "hand ran" && job+": "+got != test.lines {
					t.Errorf("%s: %s", job, got)
				}
			}
			if n := k.Stats().Tasks; n != 0 {
				t.Errorf("%d tasks are left", n)
			}
		})
	}
}

func TestProducersWaitForRoom(t *testing.T) {
	k := newKit(t, sched.Config{Workers: 1, Queues: []sched.Queue{{Capacity: 1, Full: sched.Block}}})
	h := newHeld()
	k.submit(job("h", h.do))
	k.begins(h)
	k.submit(job("a", h.do))
	gave := make(chan error, 2)
	impatient, leave := context.WithCancelCause(t.Context())
	go func() { gave <- k.Submit(impatient, job("b", h.do)) }()
	k.until(func(st sched.Stats) bool { return st.Queues[0].Blocked == 1 })
	go func() { gave <- k.Submit(t.Context(), job("c", h.do)) }()
	k.until(func(st sched.Stats) bool { return st.Queues[0].Blocked == 2 })
	why := errors.New("why")
	leave(why)
	k.fails(<-gave, why)
	h.end <- nil
	k.begins(h)
	k.ok(<-gave)
	go func() { gave <- k.Submit(t.Context(), job("d", h.do)) }()
	k.until(func(st sched.Stats) bool { return st.Queues[0].Blocked == 1 })
	ended, end := context.WithCancel(t.Context())
	end()
	k.ok(k.Close(ended))
	k.fails(<-gave, sched.ErrClosed)
}

// The clock has nobody who could wait.
func TestClockDropsWhereQueueIsFull(t *testing.T) {
	k := newKit(t, sched.Config{Workers: 1, Queues: []sched.Queue{{Capacity: 1, Full: sched.Block}}})
	h := newHeld()
	k.submit(job("h", h.do))
	k.begins(h)
	k.add(every("a", nothing))
	k.add(sched.Job{Name: "b", Trigger: sched.At(dawn.Add(1500 * time.Millisecond)), Do: nothing})
	k.clock.Advance(1500 * time.Millisecond)
	k.tells("b", "1.5 dropped queue full")
	if k.Find("b") != nil {
		t.Error("a task whose only instant was dropped is still there")
	}
	h.end <- nil
	k.settle()
	k.tells("a", "1 ran")
}

func TestPriorities(t *testing.T) {
	k := newKit(t, sched.Config{Workers: 1})
	var n names
	k.Pause()
	for i := range 3 {
		for _, p := range []sched.Priority{sched.Low, sched.Normal, sched.High, sched.Urgent} {
			j := job("", n.do(fmt.Sprint(p, i)))
			j.Priority = p
			k.submit(j)
		}
	}
	k.Resume()
	k.settle()
	if got, want := n.said(), "2 0 2 1 2 2 1 0 1 1 1 2 0 0 0 1 0 2 -1 0 -1 1 -1 2"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestLowPriorityDoesNotStarve(t *testing.T) {
	k := newKit(t, sched.Config{Workers: 1})
	var begun atomic.Int64
	at := make(chan int64, 1)
	low := job("", func(context.Context, sched.Fire) error { at <- begun.Load(); return nil })
	low.Priority = sched.Low
	urgent := job("", func(context.Context, sched.Fire) error { begun.Add(1); return nil })
	urgent.Priority = sched.Urgent
	k.Pause()
	k.submit(low)
	for range 100 {
		k.submit(urgent)
	}
	k.Resume()
	k.settle()
	if n := <-at; n > 16 {
		t.Errorf("begun after %d urgent ones", n)
	}
}

func TestQueueConcurrency(t *testing.T) {
	k := newKit(t, sched.Config{Workers: 8, Queues: []sched.Queue{{Name: "q", Concurrency: 2}}})
	q, other := newHeld(), newHeld()
	for range 5 {
		k.submit(sched.Job{Do: q.do, Queue: "q"})
	}
	k.submit(sched.Job{Do: other.do})
	k.begins(q)
	k.begins(q)
	k.begins(other) // which waits behind nobody
	for range 3 {
		k.idle(q)
		q.end <- nil
		k.begins(q)
	}
	q.end <- nil
	q.end <- nil
	other.end <- nil
	k.settle()
}

func TestRate(t *testing.T) {
	k := newKit(t, sched.Config{Queues: []sched.Queue{{Name: "q", Rate: 10, Burst: 2}}})
	var n atomic.Int64
	for range 6 {
		k.submit(sched.Job{Queue: "q", Do: func(context.Context, sched.Fire) error { n.Add(1); return nil }})
	}
	k.settle()
	for i, want := range []int64{2, 3, 4, 5, 6} {
		if i > 0 {
			k.clock.Advance(99 * time.Millisecond)
			k.settle()
			if got := n.Load(); got != want-1 {
				t.Errorf("%d begun, want %d", got, want-1)
			}
			k.clock.Advance(time.Millisecond + time.Microsecond)
			k.settle()
		}
		if got := n.Load(); got != want {
			t.Errorf("%d begun, want %d", got, want)
		}
	}
}

// Who needs much is not passed by for ever by those who need little, and those
// who need nothing of it pass.
func TestResourceIsGivenInOrder(t *testing.T) {
	k := newKit(t, sched.Config{Workers: 8, Resources: []sched.Resource{{Name: "db", N: 3}}})
	var begun names
	need := func(name string, n int, h *held) sched.Job {
		return sched.Job{Name: name, Needs: []sched.Need{{Resource: "db", N: n}}, Do: func(ctx context.Context, f sched.Fire) error {
			_ = begun.do(name)(ctx, f)
			return h.do(ctx, f)
		}}
	}
	a, b, h := newHeld(), newHeld(), newHeld()
	k.submit(need("a", 2, a))
	k.begins(a)
	k.submit(need("big", 3, h))
	k.submit(need("b", 1, b)) // there would be room for it
	k.submit(job("free", nothing))
	k.settledAs("free", "hand ran")
	k.idle(h)
	k.idle(b)
	a.end <- nil
	k.begins(h)
	k.idle(b)
	h.end <- nil
	k.begins(b)
	b.end <- nil
	k.settle()
	if got := begun.said(); got != "a big b" {
		t.Error(got)
	}
	if r := k.Stats().Resources[0]; r.Free != 3 || r.Waiting != 0 {
		t.Errorf("%+v", r)
	}
}

// settledAs waits until a job's lines are these.
func (k *kit) settledAs(job, want string) {
	k.t.Helper()
	k.until(func(sched.Stats) bool { return k.told(job) == want })
}

// pool is a client's pool of connections: who finds none waits three seconds.
type pool struct {
	mu    sync.Mutex
	free  int
	short int // demands that found none
}

func (p *pool) take() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free == 0 {
		p.short++
		return false
	}
	p.free--
	return true
}

func (p *pool) give() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free++
}

// S9: the incident. 16 shards with 3 operations each want 48 connections of a pool
// of 20, which hangs. Without admission nearly all that come late wait in vain;
// with it none does, and a job without need of the pool starts at once (S2).
func TestIncident(t *testing.T) {
	for _, admission := range []bool{false, true} {
		t.Run(fmt.Sprint("admission ", admission), func(t *testing.T) {
			k := newKit(t, sched.Config{Workers: 64, Resources: []sched.Resource{{Name: "db", N: 20}}})
			p := &pool{free: 20}
			var h held
			h.began, h.end = make(chan sched.Fire, 100), make(chan error, 100)
			do := func(ctx context.Context, f sched.Fire) error {
				if !p.take() {
					h.began <- f
					<-ctx.Done() // as sql.DB does, for as long as it may
					return errors.New("no connection")
				}
				defer p.give()
				return h.do(ctx, f)
			}
			j := sched.Job{Do: do, Timeout: 3 * time.Second}
			if admission {
				j.Needs = []sched.Need{{Resource: "db"}}
			}
			for range 48 {
				k.submit(j)
			}
			begun := 20
			if !admission {
				begun = 48
			}
			for range begun {
				k.begins(&h)
			}
			k.idle(&h)
			k.submit(job("free", nothing))
			k.settledAs("free", "hand ran")
			if !admission {
				k.clock.Advance(3 * time.Second)
				k.settle()
				if n := k.count(func(l sched.Line) bool { return l.Reason == sched.TimedOut }); n != 48 || p.short != 28 {
					t.Errorf("%d timed out, %d without a connection", n, p.short)
				}
				return
			}
			for range 28 {
				h.end <- nil
				k.begins(&h)
			}
			for range 20 {
				h.end <- nil
			}
			k.settle()
			if n := k.count(func(l sched.Line) bool { return l.Outcome == sched.Ran }); n != 49 || p.short != 0 {
				t.Errorf("%d ran, %d without a connection", n, p.short)
			}
		})
	}
}

// Whatever jobs need and however they end, no more is taken than there is, all
// of it comes back, and all of them run.
func TestResourcesNeverExceeded(t *testing.T) {
	const kinds = 3
	s := scheduler(t, sched.Config{Workers: 16, Waiting: 5000,
		Queues:    []sched.Queue{{Name: "q0", Concurrency: 3}, {Name: "q1", Rate: 1e6, Burst: 10}},
		Resources: []sched.Resource{{Name: "r0", N: 4}, {Name: "r1", N: 2}, {Name: "r2", N: 7}}})
	most := [kinds]int64{4, 2, 7}
	var used [kinds]atomic.Int64
	var inQueue, ran, want atomic.Int64
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		j := sched.Job{Priority: sched.Priority(rnd.IntN(4) - 1), Queue: []string{"", "q0", "q1"}[rnd.IntN(3)]}
		var takes [kinds]int64
		for r := range kinds {
			if rnd.IntN(2) == 0 {
				takes[r] = 1 + rnd.Int64N(most[r])
				j.Needs = append(j.Needs, sched.Need{Resource: fmt.Sprint("r", r), N: int(takes[r])})
			}
		}
		how := rnd.IntN(4)
		j.Do = func(context.Context, sched.Fire) error {
			for r := range kinds {
				if n := used[r].Add(takes[r]); n > most[r] {
					t.Errorf("%d of resource %d are taken", n, r)
				}
				defer used[r].Add(-takes[r])
			}
			if j.Queue == "q0" {
				if n := inQueue.Add(1); n > 3 {
					t.Errorf("%d of the queue run", n)
				}
				defer inQueue.Add(-1)
			}
			ran.Add(1)
			switch how {
			case 0:
				panic("no")
			case 1:
				return errors.New("no")
			}
			return nil
		}
		want.Add(1)
		if err := s.Submit(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	st := s.Stats()
	if ran.Load() != want.Load() || st.Waiting != 0 || st.Workers != 0 {
		t.Errorf("%d of %d ran; %+v", ran.Load(), want.Load(), st)
	}
	for _, r := range st.Resources {
		if r.Free != r.N {
			t.Errorf("%+v", r)
		}
	}
}
