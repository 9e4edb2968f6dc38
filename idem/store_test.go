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

// TestSlowGrant: an answer that has taken most of the lease is renewed before
// fn is run, and if another has the record by then fn is not run on its behalf.
func TestSlowGrant(t *testing.T) {
	for _, stolen := range []bool{false, true} {
		t.Run(fmt.Sprintf("stolen %v", stolen), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := new(idem.Memory)
				f := &faulty{Store: store}
				c := &idem.Client{Store: f, Try: time.Minute, Patience: time.Minute}
				slow := &slowStore{faulty: f, delay: 15 * time.Second}
				if stolen {
					slow.delay = 11 * time.Second
					time.AfterFunc(10500*time.Millisecond, func() {
						other := &idem.Client{Store: store}
						other.Do(bg, key, nil, redo, func(context.Context, *idem.Attempt) ([]byte, error) { return []byte("other"), nil })
					})
				}
				c.Store = slow
				r, err := c.Do(bg, key, nil, redo, func(ctx context.Context, _ *idem.Attempt) ([]byte, error) {
					check(t, !stolen && ctx.Err() == nil, "context", ctx.Err())
					return []byte("own"), nil
				})
				want := map[bool]string{false: "own", true: "other"}[stolen]
				check(t, err == nil && string(r.Result) == want && r.Replayed == stolen, "reply", err)
			})
		})
	}
}

// slowStore answers its first Begin late.
type slowStore struct {
	*faulty
	delay time.Duration
}

func (s *slowStore) Begin(ctx context.Context, name string, c idem.Claim) (idem.Grant, error) {
	g, err := s.faulty.Begin(ctx, name, c)
	<-time.After(s.delay)
	s.delay = 0
	return g, err
}

// TestRefusal of the store is not asked again.
func TestRefusal(t *testing.T) {
	m := &idem.Memory{Limit: 1}
	c := &idem.Client{Store: m}
	var runs atomic.Int32
	c.Do(bg, key, nil, redo, says("", &runs))
	other, open := key, redo
	other.ID, open.FailOpen = "another", true
	_, err := c.Do(bg, other, nil, open, never(t))
	check(t, errors.Is(err, idem.ErrFull) && m.Refused() == 1, "error", err)
}

// TestHeartbeatBehindTheEnd: one that arrives after the end, while the answer
// to that is still on its way, raises no alarm.
func TestHeartbeatBehindTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{Store: new(idem.Memory)}
		c := &idem.Client{Store: slowEnd{f}, Try: time.Minute, Patience: time.Minute}
		_, err := c.Do(bg, key, nil, redo, func(context.Context, *idem.Attempt) ([]byte, error) { return nil, nil })
		s := c.Stats()
		check(t, err == nil && s.Heartbeats > 0 && s.Fenced == 0 && s.Suspected() == 0, "stats", s)
	})
}

type slowEnd struct{ *faulty }

func (s slowEnd) Finish(ctx context.Context, name string, h idem.Hold, f idem.Final) (idem.Verdict, error) {
	v, err := s.faulty.Finish(ctx, name, h, f)
	<-time.After(30 * time.Second)
	return v, err
}

// TestFenceRises whatever the store offers.
func TestFenceRises(t *testing.T) {
	r := idem.Record{State: idem.Released, Fence: 100}
	g, changed := r.Begin(time.Now(), 7, idem.Claim{Owner: idem.Owner{1}, Lease: time.Second})
	check(t, changed && g.Fence == 101, "grant", g)
}

// TestWhatTheStoreSaid: its word is kept when the last thing to happen is that
// time is up.
func TestWhatTheStoreSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &idem.Client{Store: &grumpy{Store: new(idem.Memory)}}
		_, err := c.Do(bg, key, nil, redo, never(t))
		check(t, errors.Is(err, errCut) && !errors.Is(err, context.DeadlineExceeded), "error", err)
	})
}

// grumpy answers once with an error, and then no more.
type grumpy struct {
	idem.Store
	said bool
}

func (g *grumpy) Begin(ctx context.Context, _ string, _ idem.Claim) (idem.Grant, error) {
	if g.said {
		<-ctx.Done()
		return idem.Grant{}, ctx.Err()
	}
	g.said = true
	return idem.Grant{}, errCut
}
