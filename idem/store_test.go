package idem_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-go/weir/idem"
)

// faulty is a store whose questions or answers get lost.
type faulty struct {
	idem.Store

	mu    sync.Mutex
	fault func(call string) (arrives, answers bool)
	calls []string
}

var errCut = errors.New("connection reset")

func (f *faulty) set(fault func(call string) (arrives, answers bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// pass makes the call as far as the fault lets it.
func pass[T any](f *faulty, call string, do func() (T, error)) (answer T, err error) {
	f.mu.Lock()
	arrives, answers := true, true
	if f.fault != nil {
		arrives, answers = f.fault(call)
	}
	f.calls = append(f.calls, call)
	f.mu.Unlock()
	if arrives {
		answer, err = do()
	}
	if !answers {
		var none T
		return none, errCut
	}
	return answer, err
}

func (f *faulty) Begin(ctx context.Context, name string, c idem.Claim) (idem.Grant, error) {
	return pass(f, "begin", func() (idem.Grant, error) { return f.Store.Begin(ctx, name, c) })
}

func (f *faulty) Renew(ctx context.Context, name string, h idem.Hold, r idem.Renewal) (idem.Verdict, error) {
	return pass(f, "renew", func() (idem.Verdict, error) { return f.Store.Renew(ctx, name, h, r) })
}

func (f *faulty) Finish(ctx context.Context, name string, h idem.Hold, e idem.Final) (idem.Verdict, error) {
	return pass(f, "finish "+e.State.String(), func() (idem.Verdict, error) { return f.Store.Finish(ctx, name, h, e) })
}

// TestLostAnswers: whichever answers get lost, after the change was made or
// before, asking again resolves it.
func TestLostAnswers(t *testing.T) {
	for _, lost := range []string{"begin", "renew", "finish done", "finish released", "finish unknown"} {
		for _, arrives := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, arrives %v", lost, arrives), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					loseOnce(t, lost, arrives)
				})
			})
		}
	}
}

func loseOnce(t *testing.T, lost string, arrives bool) {
	f := &faulty{Store: new(idem.Memory)}
	c := &idem.Client{Store: f}
	times := 0
	f.set(func(call string) (bool, bool) {
		if call == lost && times < 3 {
			times++
			return arrives, false
		}
		return true, true
	})
	run := func(err error) error {
		_, err = c.Do(bg, key, nil, redo, func(ctx context.Context, a *idem.Attempt) ([]byte, error) {
			if err := a.Mark(ctx, []byte("step")); err != nil {
				t.Error(err)
			}
			return []byte("result"), err
		})
		return err
	}
	if lost == "finish unknown" {
		run(errCut)
		halt := redo
		halt.Unknown = idem.Halt()
		_, err := c.Do(bg, key, nil, halt, never(t))
		check(t, errors.Is(err, idem.ErrUnknown) && !errors.Is(err, idem.ErrUnrecorded), "halted", err)
	} else {
		if lost == "finish released" {
			run(idem.Transient(errCut))
		}
		check(t, run(nil) == nil, "run", nil)
		r, err := c.Do(bg, key, nil, redo, never(t))
		check(t, err == nil && string(r.Result) == "result", "replay", err)
	}
	s := c.Stats()
	check(t, times > 0 && s.Resent == uint64(times) && s.Suspected() == 0 && s.Conflict == 0, "stats", s)
	if lost != "finish unknown" {
		check(t, s.TakenOver == 0, "taken over from oneself", s)
	}
}

// TestLostTakeover: the answer to a takeover gets lost; asked again, the store
// must not make it look like a new key, or the policy would be passed by.
func TestLostTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{Store: new(idem.Memory)}
		c := &idem.Client{Store: f}
		dies(t, c)
		lost := false
		f.set(func(call string) (bool, bool) {
			if call == "begin" && !lost {
				lost = true
				return true, false
			}
			return true, true
		})
		halt := redo
		halt.Unknown = idem.Halt()
		_, err := c.Do(bg, key, nil, halt, never(t))
		check(t, lost && errors.Is(err, idem.ErrUnknown), "error", err)
	})
}

// TestStoreIsAway: fn is not run, unless the policy says so.
func TestStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{Store: new(idem.Memory)}
		f.set(func(string) (bool, bool) { return false, false })
		c := &idem.Client{Store: f}
		begun := time.Now()
		_, err := c.Do(bg, key, nil, redo, never(t))
		check(t, errors.Is(err, idem.ErrUnavailable) && errors.Is(err, errCut), "error", err)
		check(t, time.Since(begun) <= 6*time.Second, "patience", time.Since(begun))

		short, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		open := redo
		open.FailOpen = true
		_, err = c.Do(short, key, nil, open, never(t))
		check(t, errors.Is(err, idem.ErrUnavailable) && errors.Is(err, context.DeadlineExceeded), "no time left", err)

		var runs atomic.Int32
		r, err := c.Do(bg, key, nil, open, says("unguarded", &runs))
		check(t, err == nil && r.Unguarded && runs.Load() == 1, "fail open", err)
		s := c.Stats()
		check(t, s.Unguarded == 1 && s.Unavailable == 2 && s.Suspected() == 1, "stats", s)
	})
}

// TestEndIsNotHeard: fn has run and the store is told in vain; the caller gets
// the result and is told so, and the next call knows that it does not know.
func TestEndIsNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{Store: new(idem.Memory)}
		f.set(func(call string) (bool, bool) {
			ok := !strings.HasPrefix(call, "finish")
			return ok, ok
		})
		c := &idem.Client{Store: f}
		ctx, cancel := context.WithCancel(bg)
		r, err := c.Do(ctx, key, nil, redo, func(context.Context, *idem.Attempt) ([]byte, error) {
			cancel() // the caller has no say when it comes to telling
			return []byte("result"), nil
		})
		check(t, errors.Is(err, idem.ErrUnrecorded) && string(r.Result) == "result", "error", err)
		check(t, len(f.calls) > 5, "tries", f.calls)
		f.set(nil)
		halt := redo
		halt.Unknown, halt.Wait = idem.Halt(), true
		_, err = c.Do(bg, key, nil, halt, never(t))
		check(t, errors.Is(err, idem.ErrUnknown), "the next", err)
	})
}
