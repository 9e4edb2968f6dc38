package idem_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-go/weir/idem"
)

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

// TestSlowGrantThatCannotBeRenewed: fn is not run, and the key is free.
func TestSlowGrantThatCannotBeRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{Store: new(idem.Memory)}
		c := &idem.Client{Store: &slowStore{faulty: f, delay: 5 * time.Second}, Try: time.Minute, Patience: time.Minute}
		f.set(func(call string) (bool, bool) { return call != "renew", call != "renew" })
		_, err := c.Do(bg, key, nil, redo, never(t))
		check(t, errors.Is(err, idem.ErrUnavailable) && errors.Is(err, errCut), "error", err)
		s := c.Stats()
		check(t, s.Unavailable == 1 && s.Released == 0 && s.Abandoned == 0, "stats", s)
		f.set(nil)
		_, err = c.Do(bg, key, nil, redo, func(_ context.Context, a *idem.Attempt) ([]byte, error) {
			check(t, !a.Taken && a.Number == 1, "attempt", a)
			return nil, nil
		})
		check(t, err == nil, "the next", err)
	})
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

// Renew takes a while, in which whoever else has something to do does it.
func (s *slowStore) Renew(ctx context.Context, name string, h idem.Hold, n idem.Renewal) (idem.Verdict, error) {
	<-time.After(time.Millisecond)
	return s.faulty.Renew(ctx, name, h, n)
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
