package saga_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/saga"
)

func TestConfig(t *testing.T) {
	call := saga.Call{Run: fail(nil), Unknown: saga.Redo()}
	good := saga.Step{Name: "a", Do: call}
	bad := map[string][]saga.Step{
		"no steps":       {},
		"no name":        {{Do: call}},
		"bad name":       {{Name: "a b", Do: call}},
		"same name":      {good, good},
		"no action":      {{Name: "a"}},
		"no choice":      {{Name: "a", Do: saga.Call{Run: call.Run}}},
		"no undo choice": {{Name: "a", Do: call, Undo: saga.Call{Run: call.Run}}},
		"two pivots":     {{Name: "a", Do: call, Pivot: true}, {Name: "b", Do: call, Pivot: true}},
		"negative":       {{Name: "a", Do: saga.Call{Run: call.Run, Unknown: saga.Redo(), Timeout: -1}}},
		"too many":       make([]saga.Step, saga.MaxSteps+1),
	}
	try := func(cfg saga.Config, steps ...saga.Step) error {
		cfg.Definitions = []*saga.Definition{{Name: "d", Steps: steps}}
		_, err := saga.NewRunner(cfg)
		return err
	}
	cfg := saga.Config{Log: new(saga.Memory), Idem: &idem.Client{Store: new(idem.Memory)}}
	for name, steps := range bad {
		if err := try(cfg, steps...); !errors.Is(err, saga.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := try(cfg, good); err != nil {
		t.Error(err)
	}
	refused(t, try(saga.Config{}, good), saga.ErrConfig)
	cfg.MaxRunning = -1
	refused(t, try(cfg, good), saga.ErrConfig)
}

// TestLimits: what is too much is refused, and nothing is begun.
func TestLimits(t *testing.T) {
	b := newBench(t)
	b.log.Limit = 2
	here, free := make(chan struct{}), make(chan struct{})
	s := b.step("a", func(_ context.Context, a *saga.Attempt) ([]byte, error) {
		if a.ID == "wait" {
			close(here)
			<-free
		}
		return make([]byte, 11), nil
	}, nil)
	r := b.runner(saga.Config{MaxRunning: 1, MaxInput: 10, MaxResult: 10}, s)
	for want, c := range map[error][2]string{
		saga.ErrUndefined: {"e", "x"},
		saga.ErrID:        {"d", strings.Repeat("x", saga.MaxID+1)},
		saga.ErrTooLarge:  {"d", "x"},
	} {
		input := make([]byte, 10)
		if want == saga.ErrTooLarge {
			input = make([]byte, 11)
		}
		_, err := r.Run(t.Context(), c[0], c[1], input)
		refused(t, err, want)
	}
	done := make(chan error, 1)
	go func() {
		_, err := r.Run(t.Context(), "d", "wait", nil)
		done <- err
	}()
	<-here
	_, err := r.Run(t.Context(), "d", "not \xff UTF-8", nil)
	refused(t, err, saga.ErrID)
	_, err = r.Run(t.Context(), "d", "wait", nil)
	refused(t, err, saga.ErrBusy)
	_, err = r.Run(t.Context(), "d", "other", nil)
	refused(t, err, saga.ErrFull)
	close(free)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	o, err := r.Run(t.Context(), "d", "second", nil)
	if ended(t, o, err, saga.Succeeded); o.Results[0] != nil {
		t.Errorf("%d bytes kept", len(o.Results[0]))
	}
	_, err = r.Run(t.Context(), "d", "third", nil) // the Log has no room
	refused(t, err, saga.ErrFull)
	want := saga.Stats{Begun: 2, Succeeded: 2, Refused: 2, Calls: 2, Omitted: 2, Writes: 4}
	if st := r.Stats(); st != want {
		t.Errorf("%+v, want %+v", st, want)
	}
}

// TestClose: a saga stays where it is, and the next Runner goes on with it.
func TestClose(t *testing.T) {
	b := newBench(t)
	here := make(chan struct{})
	first := true
	steps := []saga.Step{b.step("a", nil, nil), b.step("b", func(ctx context.Context, a *saga.Attempt) ([]byte, error) {
		if first {
			first = false
			close(here)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, nil
	}, nil)}
	r := b.runner(saga.Config{}, steps...)
	done := make(chan error, 1)
	go func() {
		_, err := r.Run(t.Context(), "d", "x", nil)
		done <- err
	}()
	<-here
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused(t, <-done, saga.ErrClosed)
	_, err := r.Run(t.Context(), "d", "y", nil)
	refused(t, err, saga.ErrClosed)
	found, err := b.runner(saga.Config{}, steps...).Recover(t.Context())
	if err != nil || found.Succeeded != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	b.want("a.do b.do b.do")
}

// TestAnotherDefinition: a saga is not gone on with by steps that it was not
// begun with.
func TestAnotherDefinition(t *testing.T) {
	b := newBench(t)
	dead := &dying{Log: b.log, left: 1}
	a, c := b.step("a", nil, nil), b.step("c", nil, nil)
	_, err := b.runner(saga.Config{Log: dead}, a, c).Run(t.Context(), "d", "x", nil)
	refused(t, err, saga.ErrLog)
	for _, steps := range [][]saga.Step{{c, a}, {a}, {a, {Name: "c", Do: c.Do}}} {
		found, err := b.runner(saga.Config{}, steps...).Recover(t.Context())
		refused(t, err, saga.ErrDefinition)
		if found.Failed != 1 {
			t.Fatalf("%+v", found)
		}
	}
	b.want("")
}

// TestForget: only what ended longer ago than idem remembers.
func TestForget(t *testing.T) {
	b := newBench(t)
	r := b.runner(saga.Config{Retain: time.Hour}, b.step("a", nil, nil))
	for id, age := range map[string]time.Duration{"old": 2 * time.Hour, "young": 30 * time.Minute} {
		rec := record("succeeded", "done")
		rec.ID, rec.Ended = id, time.Now().Add(-age)
		if err := b.log.Create(t.Context(), &rec); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := r.Forget(t.Context(), 9); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	_, err := r.Lookup(t.Context(), "old")
	refused(t, err, saga.ErrNotFound)
	if _, err = r.Lookup(t.Context(), "young"); err != nil {
		t.Fatal(err)
	}
}

// TestOlderThanRetain: idem may have forgotten the call, so that its silence says
// nothing.
func TestOlderThanRetain(t *testing.T) {
	for _, age := range []time.Duration{time.Minute, 2 * time.Hour} {
		b := newBench(t)
		dead := &dying{Log: b.log, left: 1}
		step := b.step("a", nil, nil)
		_, err := b.runner(saga.Config{Log: dead}, step).Run(t.Context(), "d", "x", nil)
		refused(t, err, saga.ErrLog)
		rec, err := b.log.Load(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		rec.Begun, rec.Version = time.Now().Add(-age), 2
		rec.Steps[0] = saga.StepRecord{State: saga.Intent, Tries: 2}
		if err := b.log.Write(t.Context(), &rec, 1, 1); err != nil {
			t.Fatal(err)
		}
		found, err := b.runner(saga.Config{Retain: time.Hour}, step).Recover(t.Context())
		if err != nil || found.Compensated != 1 {
			t.Fatalf("%+v, %v", found, err)
		}
		if age > time.Hour {
			b.want("a.undo?")
		} else {
			b.want("")
		}
	}
}
