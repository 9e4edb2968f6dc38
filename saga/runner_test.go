package saga_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/saga"
)

type run = func(context.Context, *saga.Attempt) ([]byte, error)

// bench is a Runner with what it needs, and what was called.
type bench struct {
	t     *testing.T
	log   *saga.Memory
	store *idem.Memory
	mu    sync.Mutex
	trace []string
}

func newBench(t *testing.T) *bench {
	return &bench{t: t, log: new(saga.Memory), store: new(idem.Memory)}
}

func (b *bench) called(a *saga.Attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := a.Idem.Key.Operation
	if a.Maybe {
		s += "?"
	}
	b.trace = append(b.trace, s)
}

// want compares what was called.
func (b *bench) want(calls string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if got := strings.Join(b.trace, " "); got != calls {
		b.t.Fatalf("called %q, want %q", got, calls)
	}
}

var quick = saga.Retry{Tries: 2, First: 1, Most: 1}

// step is one whose calls do f and g; nil succeeds.
func (b *bench) step(name string, f, g run) saga.Step {
	call := func(f run) saga.Call {
		return saga.Call{Unknown: saga.Redo(), Retry: quick, Run: func(ctx context.Context, a *saga.Attempt) ([]byte, error) {
			b.called(a)
			if f == nil {
				return []byte(a.Step), nil
			}
			return f(ctx, a)
		}}
	}
	return saga.Step{Name: name, Do: call(f), Undo: call(g)}
}

func (b *bench) runner(cfg saga.Config, steps ...saga.Step) *saga.Runner {
	b.t.Helper()
	if cfg.Log == nil {
		cfg.Log = b.log
	}
	cfg.Idem = &idem.Client{Store: b.store}
	cfg.Definitions = []*saga.Definition{{Name: "d", Steps: steps}}
	r, err := saga.NewRunner(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			b.t.Error(err)
		}
	})
	return r
}

func ended(t *testing.T, o saga.Outcome, err error, want saga.State) saga.Outcome {
	t.Helper()
	if err != nil || o.State != want {
		t.Fatalf("%+v, %v, want %s", o, err, want)
	}
	return o
}

func refused(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%v, want %v", err, want)
	}
}

func fail(err error) run {
	return func(context.Context, *saga.Attempt) ([]byte, error) { return nil, err }
}

func oneAfterAnother(errs ...error) run {
	return func(context.Context, *saga.Attempt) ([]byte, error) {
		err := errs[0]
		errs = errs[1:]
		return nil, err
	}
}

var errAny = errors.New("any")

// inBubble runs a test whose time passes only when nobody has anything to do: no
// call runs out of it because the machine is slow.
func inBubble(t *testing.T, name string, test func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

// TestCalls: what is called, in which order, for everything a call can answer.
func TestCalls(t *testing.T) {
	hang := func(ctx context.Context, _ *saga.Attempt) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for name, c := range map[string]struct {
		do    run
		state saga.State
		calls string
	}{
		"confirmed": {nil, saga.Succeeded, "a.do b.do c.do"},
		"rejected":  {fail(&idem.Failure{Reason: "no"}), saga.Compensated, "a.do b.do a.undo"},
		"transient": {fail(idem.Transient(errAny)), saga.Compensated, "a.do b.do b.do a.undo"},
		"unknown":   {fail(errAny), saga.Compensated, "a.do b.do b.do b.undo? a.undo"},
		"panic": {func(context.Context, *saga.Attempt) ([]byte, error) { panic("p") },
			saga.Compensated, "a.do b.do b.do b.undo? a.undo"},
		"end of the goroutine": {func(context.Context, *saga.Attempt) ([]byte, error) {
			runtime.Goexit()
			return nil, nil
		}, saga.Compensated, "a.do b.do b.do b.undo? a.undo"},
		"out of time":             {hang, saga.Compensated, "a.do b.do b.do b.undo? a.undo"},
		"unknown, then confirmed": {oneAfterAnother(errAny, nil), saga.Succeeded, "a.do b.do b.do c.do"},
		// It says so of the second call, and nobody knows about the first.
		"unknown, then rejected":  {oneAfterAnother(errAny, &idem.Failure{Reason: "no"}), saga.Compensated, "a.do b.do b.do b.undo? a.undo"},
		"unknown, then transient": {oneAfterAnother(errAny, idem.Transient(errAny)), saga.Compensated, "a.do b.do b.do b.undo? a.undo"},
	} {
		inBubble(t, name, func(t *testing.T) {
			b := newBench(t)
			s := b.step("b", c.do, nil)
			r := b.runner(saga.Config{}, b.step("a", nil, nil), s, b.step("c", nil, nil))
			o, err := r.Run(t.Context(), "d", "x", []byte("in"))
			ended(t, o, err, c.state)
			b.want(c.calls)
			o, err = r.Run(t.Context(), "d", "x", []byte("in"))
			if ended(t, o, err, c.state); !o.Replayed || string(o.Results[0]) != "a" {
				t.Fatalf("%+v", o)
			}
			b.want(c.calls)
			_, err = r.Run(t.Context(), "d", "x", []byte("other"))
			refused(t, err, saga.ErrMismatch)
		})
	}
}

// TestHalt: an action of which nobody knows is not called again, but taken back.
func TestHalt(t *testing.T) {
	b := newBench(t)
	s := b.step("a", fail(errAny), nil)
	s.Do.Unknown = saga.Halt()
	r := b.runner(saga.Config{}, s)
	o, err := r.Run(t.Context(), "d", "x", nil)
	ended(t, o, err, saga.Compensated)
	b.want("a.do a.undo?")
	// The key is ended, and no person has to decide about it.
	key := idem.Key{Space: "d", Operation: "a.do", ID: "x"}
	if rec, err := (&idem.Client{Store: b.store}).Lookup(t.Context(), key); err != nil || rec.State != idem.Failed {
		t.Fatalf("%+v, %v", rec, err)
	}
}

// TestResults: steps see those before them, and compensations their action's.
func TestResults(t *testing.T) {
	b := newBench(t)
	see := func(want string) run {
		return func(_ context.Context, a *saga.Attempt) ([]byte, error) {
			if got := fmt.Sprintf("%s %s %s %s", a.Input, a.Of("a"), a.Of("b"), a.Result); got != want {
				t.Errorf("%s sees %q, want %q", a.Step, got, want)
			}
			return []byte("R" + a.Step), nil
		}
	}
	r := b.runner(saga.Config{}, b.step("a", see("in   "), see("in Ra Rb Ra")), b.step("b", see("in Ra  "), see("in Ra Rb Rb")),
		b.step("c", fail(&idem.Failure{Reason: "no"}), nil))
	o, err := r.Run(t.Context(), "d", "x", []byte("in"))
	ended(t, o, err, saga.Compensated)
	if o.Reason != "c: no" || string(o.Results[1]) != "Rb" {
		t.Fatalf("%+v", o)
	}
}

// TestStuck: compensations are not tried for ever, and a person goes on.
func TestStuck(t *testing.T) {
	for _, way := range []string{"resume", "skip"} {
		t.Run(way, func(t *testing.T) {
			b := newBench(t)
			bad := true
			r := b.runner(saga.Config{}, b.step("a", nil, nil), b.step("b", nil, func(context.Context, *saga.Attempt) ([]byte, error) {
				if bad {
					return nil, &idem.Failure{Reason: "cannot"} // it is to be tried again all the same
				}
				return nil, nil
			}), b.step("c", fail(&idem.Failure{Reason: "no"}), nil))
			o, err := r.Run(t.Context(), "d", "x", nil)
			if ended(t, o, err, saga.Stuck); o.Step != "b" || !strings.Contains(o.Reason, "cannot") {
				t.Fatalf("%+v", o)
			}
			b.want("a.do b.do c.do b.undo b.undo")
			_, err = r.Run(t.Context(), "d", "x", nil)
			refused(t, err, saga.ErrOpen)
			found, err := r.Recover(t.Context())
			if err != nil || found != (saga.Recovered{Open: 1, Stuck: 1}) {
				t.Fatalf("%+v, %v", found, err)
			}
			var illegal *saga.TransitionError
			if _, err = r.Skip(t.Context(), "x", "a", nil); !errors.As(err, &illegal) {
				t.Fatalf("skipped another step: %v", err)
			}
			if way == "skip" {
				o, err = r.Skip(t.Context(), "x", "b", nil)
				ended(t, o, err, saga.Compensated)
				b.want("a.do b.do c.do b.undo b.undo a.undo")
				return
			}
			o, err = r.Resume(t.Context(), "x")
			ended(t, o, err, saga.Stuck)
			bad = false
			o, err = r.Resume(t.Context(), "x")
			ended(t, o, err, saga.Compensated)
			b.want("a.do b.do c.do b.undo b.undo b.undo b.undo b.undo a.undo")
			if _, err = r.Resume(t.Context(), "x"); !errors.As(err, &illegal) {
				t.Fatalf("resumed what has ended: %v", err)
			}
		})
	}
}

// TestPivot: behind it a saga does not turn back.
func TestPivot(t *testing.T) {
	for name, c := range map[string]struct {
		do, after run
		state     saga.State
		calls     string
	}{
		"rejected":       {fail(&idem.Failure{Reason: "no"}), nil, saga.Compensated, "a.do p.do a.undo"},
		"unknown":        {fail(errAny), nil, saga.Stuck, "a.do p.do p.do"},
		"rejected after": {nil, fail(&idem.Failure{Reason: "no"}), saga.Stuck, "a.do p.do z.do z.do"},
		"unknown after":  {nil, fail(errAny), saga.Stuck, "a.do p.do z.do z.do"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			p := b.step("p", c.do, nil)
			p.Pivot = true
			r := b.runner(saga.Config{}, b.step("a", nil, nil), p, b.step("z", c.after, nil))
			o, err := r.Run(t.Context(), "d", "x", nil)
			ended(t, o, err, c.state)
			b.want(c.calls)
			if c.state == saga.Stuck {
				for o.State == saga.Stuck { // a person does it by hand
					o, err = r.Skip(t.Context(), "x", o.Step, []byte("hand"))
					if err != nil {
						t.Fatal(err)
					}
				}
				ended(t, o, err, saga.Succeeded)
				if !slices.ContainsFunc(o.Results, func(b []byte) bool { return string(b) == "hand" }) {
					t.Fatalf("%q", o.Results)
				}
			}
		})
	}
}

// TestRejectedBehindThePivot: a person sees to what the step was rejected for, and
// resumes.
func TestRejectedBehindThePivot(t *testing.T) {
	b := newBench(t)
	moved := false
	p := b.step("p", nil, nil)
	p.Pivot = true
	r := b.runner(saga.Config{}, p, b.step("ship", func(context.Context, *saga.Attempt) ([]byte, error) {
		if !moved {
			return nil, &idem.Failure{Reason: "no such address"}
		}
		return nil, nil
	}, nil))
	o, err := r.Run(t.Context(), "d", "x", nil)
	ended(t, o, err, saga.Stuck)
	if !strings.Contains(o.Reason, "no such address") {
		t.Errorf("%q", o.Reason)
	}
	moved = true
	o, err = r.Resume(t.Context(), "x")
	ended(t, o, err, saga.Succeeded)
	b.want("p.do ship.do ship.do ship.do")
}

// TestCallerLeaves: in front of the pivot that is an abort, behind it nothing.
func TestCallerLeaves(t *testing.T) {
	for _, pivot := range []bool{false, true} {
		b := newBench(t)
		ctx, leave := context.WithCancel(t.Context())
		s := b.step("b", func(ctx context.Context, a *saga.Attempt) ([]byte, error) {
			leave()
			if pivot {
				return nil, ctx.Err()
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}, nil)
		s.Pivot = pivot
		r := b.runner(saga.Config{}, b.step("a", nil, nil), s, b.step("c", nil, nil))
		o, err := r.Run(ctx, "d", "x", nil)
		if pivot {
			ended(t, o, err, saga.Succeeded)
			b.want("a.do b.do c.do")
		} else {
			ended(t, o, err, saga.Compensated)
			b.want("a.do b.do b.undo? a.undo")
		}
	}
}

// TestCallerLeavesBeforePivot: the pivot is not called any more.
func TestCallerLeavesBeforePivot(t *testing.T) {
	b := newBench(t)
	ctx, leave := context.WithCancel(t.Context())
	p := b.step("p", nil, nil)
	p.Pivot = true
	r := b.runner(saga.Config{}, b.step("a", func(context.Context, *saga.Attempt) ([]byte, error) {
		leave()
		return nil, nil
	}, nil), p)
	o, err := r.Run(ctx, "d", "x", nil)
	ended(t, o, err, saga.Compensated)
	b.want("a.do a.undo")
}

// TestCallerLeavesBetweenTries: the pause does not hold him up.
func TestCallerLeavesBetweenTries(t *testing.T) {
	for range 20 {
		b := newBench(t)
		s := b.step("a", fail(idem.Transient(errAny)), nil)
		s.Do.Retry = saga.Retry{Tries: 2, First: time.Hour, Most: time.Hour}
		r := b.runner(saga.Config{}, s)
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for r.Stats().Doubts == 0 {
				<-time.After(time.Millisecond)
			}
			leave()
		})
		o, err := r.Run(ctx, "d", "x", nil)
		wg.Wait()
		ended(t, o, err, saga.Compensated)
		b.want("a.do")
	}
}

// TestOrphan: a call that ignores the end of its context is left behind, nobody
// compensates beside it, and what it did in the end is undone.
func TestOrphan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		free := make(chan struct{})
		s := b.step("a", func(context.Context, *saga.Attempt) ([]byte, error) {
			<-free
			return []byte("late"), nil
		}, func(_ context.Context, a *saga.Attempt) ([]byte, error) {
			if string(a.Result) != "late" {
				t.Errorf("undoes %q", a.Result)
			}
			return nil, nil
		})
		s.Do.Timeout, s.Undo.Timeout, s.Do.Retry.Tries = 10*time.Millisecond, 10*time.Millisecond, 1
		r := b.runner(saga.Config{Grace: time.Millisecond, MaxOrphans: 1}, s)
		o, err := r.Run(t.Context(), "d", "x", nil)
		ended(t, o, err, saga.Stuck)
		b.want("a.do")
		_, err = r.Run(t.Context(), "d", "y", nil)
		refused(t, err, saga.ErrFull)
		if st := r.Stats(); st.Orphans != 1 || st.Timeouts < 1 || st.Refused != 1 || st.Stuck != 1 {
			t.Fatalf("%+v", st)
		}
		close(free)
		for deadline := time.Now().Add(30 * time.Second); r.Stats().Orphans > 0; <-time.After(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("still an orphan")
			}
		}
		o, err = r.Resume(t.Context(), "x")
		ended(t, o, err, saga.Compensated)
		b.want("a.do a.undo")
	})
}
