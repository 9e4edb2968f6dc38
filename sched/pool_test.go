package sched_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/timer/spare"
)

// A pool that is busy with other things is asked again.
func TestPoolThatRefuses(t *testing.T) {
	p := &stubborn{refuse: 3}
	k := newKit(t, sched.Config{Pool: p})
	k.add(every("a", nothing))
	k.clock.Advance(time.Second + 10*time.Millisecond)
	k.settle()
	k.tells("a", "1 ran")
	if n := k.Stats().NoWorker; n != 3 {
		t.Errorf("refused %d times", n)
	}
}

type stubborn struct {
	mu     sync.Mutex
	refuse int
}

func (p *stubborn) Submit(f func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse > 0 {
		p.refuse--
		return errors.New("busy")
	}
	go f()
	return nil
}

// A pool that keeps a P free takes as many workers as it has goroutines.
func TestSparePool(t *testing.T) {
	p, err := spare.New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	k := newKit(t, sched.Config{Pool: p})
	h := newHeld()
	k.submit(job("a", h.do))
	k.begins(h)
	k.submit(job("b", h.do))
	k.idle(h)
	if n := k.Stats().Workers; n != 1 {
		t.Errorf("%d workers", n)
	}
	h.end <- nil
	k.begins(h)
	h.end <- nil
	k.settle()
	k.tells("b", "hand ran")
}

// A caller who runs something himself takes no worker's place.
func TestCallersDoNotCount(t *testing.T) {
	k := newKit(t, sched.Config{Workers: 1, Queues: []sched.Queue{{Capacity: 1, Full: sched.RunInCaller}}})
	h, mine := newHeld(), newHeld()
	k.submit(job("a", h.do))
	k.begins(h)
	k.submit(job("b", h.do))
	done := make(chan error, 1)
	go func() { done <- k.Submit(t.Context(), job("c", mine.do)) }()
	k.begins(mine)
	h.end <- nil
	k.begins(h) // b, while c goes on
	mine.end <- nil
	if err := <-done; err != nil {
		t.Error(err)
	}
	h.end <- nil
	k.settle()
	if st := k.Stats(); st.Workers != 0 || st.Running != 0 {
		t.Errorf("%+v", st)
	}
}
