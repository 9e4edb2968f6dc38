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

// together is a Log whose records are read by two, before one goes on.
type together struct {
	saga.Log
	both *sync.WaitGroup
}

func (l together) Load(ctx context.Context, id string) (saga.Record, error) {
	rec, err := l.Log.Load(ctx, id)
	l.both.Done()
	l.both.Wait()
	return rec, err
}

// TestOneClaim: two have read the same record, and one gets the saga.
func TestOneClaim(t *testing.T) {
	b := newBench(t)
	steps := []saga.Step{b.step("a", nil, nil), b.step("b", nil, nil)}
	_, err := b.runner(saga.Config{Log: &dying{Log: b.log, left: 2, written: true}}, steps...).Run(t.Context(), "d", "x", nil)
	refused(t, err, saga.ErrLog)
	var both sync.WaitGroup
	both.Add(2)
	var wg sync.WaitGroup
	var sum [2]saga.Recovered
	for i := range sum {
		r := b.runner(saga.Config{Log: together{b.log, &both}}, steps...)
		wg.Go(func() {
			var err error
			if sum[i], err = r.Recover(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if sum[0].Elsewhere == 1 {
		sum[0], sum[1] = sum[1], sum[0]
	}
	if sum != [2]saga.Recovered{{Open: 1, Succeeded: 1}, {Open: 1, Elsewhere: 1}} {
		t.Fatalf("%+v", sum)
	}
	b.want("a.do b.do")
	rec, err := b.log.Load(t.Context(), "x")
	if err != nil || rec.Fence != 2 {
		t.Fatalf("%+v, %v", rec, err)
	}
}

// TestRecoverStopped: the end of its context leaves sagas open, and aborts none.
func TestRecoverStopped(t *testing.T) {
	b := newBench(t)
	ctx, stop := context.WithCancel(t.Context())
	steps := []saga.Step{b.step("a", nil, nil), b.step("b", func(c context.Context, _ *saga.Attempt) ([]byte, error) {
		if ctx.Err() == nil {
			stop()
			<-c.Done()
		}
		return nil, c.Err()
	}, nil)}
	_, err := b.runner(saga.Config{Log: &dying{Log: b.log, left: 1}}, steps...).Run(t.Context(), "d", "x", nil)
	refused(t, err, saga.ErrLog)
	r := b.runner(saga.Config{}, steps...)
	found, err := r.Recover(ctx)
	if refused(t, err, context.Canceled); found != (saga.Recovered{Open: 1, Failed: 1}) {
		t.Fatalf("%+v", found)
	}
	found, err = r.Recover(t.Context())
	if err != nil || found != (saga.Recovered{Open: 1, Succeeded: 1}) {
		t.Fatalf("%+v, %v", found, err)
	}
	b.want("a.do b.do b.do")
}
