package saga_test

import (
	"context"
	"sync"
	"testing"

	"github.com/weir-go/weir/saga"
)

// holding is a Log whose writes of one kind wait.
type holding struct {
	saga.Log
	here, free chan struct{}
	when       func(*saga.Record) bool
}

func (h *holding) Write(ctx context.Context, r *saga.Record, version, fence uint64) error {
	err := h.Log.Write(ctx, r, version, fence)
	if err == nil && h.when(r) {
		close(h.here)
		<-h.free
	}
	return err
}

// TestLateAction: an owner stalls between the intent and the call. Another takes
// the saga over and compensates, and when the first goes on he calls nothing.
func TestLateAction(t *testing.T) {
	b := newBench(t)
	h := &holding{Log: b.log, here: make(chan struct{}), free: make(chan struct{}),
		when: func(r *saga.Record) bool { return r.Fence == 1 && r.Steps[1].State == saga.Intent }}
	steps := []saga.Step{b.step("a", nil, nil), b.step("b", nil, nil)}
	slow := b.runner(saga.Config{Log: h}, steps...)
	done := make(chan error, 1)
	go func() {
		_, err := slow.Run(t.Context(), "d", "x", nil)
		done <- err
	}()
	<-h.here
	// The other one has no tries left for the action.
	rec, err := b.log.Load(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	rec.Steps[1].Tries = 2
	rec.Version++
	if err := b.log.Write(t.Context(), &rec, rec.Version-1, rec.Fence); err != nil {
		t.Fatal(err)
	}
	other := b.runner(saga.Config{}, steps...)
	found, err := other.Recover(t.Context())
	if err != nil || found.Compensated != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	b.want("a.do a.undo")
	if n := other.Stats().Empty; n != 1 {
		t.Errorf("%d empty compensations", n)
	}
	close(h.free)
	refused(t, <-done, saga.ErrLost)
	b.want("a.do a.undo")
}

// TestTwoRecover: of two who take over the same saga one wins.
func TestTwoRecover(t *testing.T) {
	for range 50 {
		b := newBench(t)
		dead := &dying{Log: b.log, left: 2, written: true}
		steps := []saga.Step{b.step("a", nil, nil), b.step("b", nil, nil), b.step("c", nil, nil)}
		steps[1].Do.Retry.Tries = 10 // the second may come when the first has said that it tries
		_, err := b.runner(saga.Config{Log: dead}, steps...).Run(t.Context(), "d", "x", nil)
		refused(t, err, saga.ErrLog)
		first, second := b.runner(saga.Config{}, steps...), b.runner(saga.Config{}, steps...)
		var sum [2]saga.Recovered
		var wg sync.WaitGroup
		for i, r := range []*saga.Runner{first, second} {
			wg.Go(func() {
				var err error
				if sum[i], err = r.Recover(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := sum[0].Succeeded + sum[1].Succeeded; n != 1 || sum[0].Failed+sum[1].Failed > 0 {
			t.Fatalf("%+v", sum)
		}
		b.want("a.do b.do c.do")
	}
}
