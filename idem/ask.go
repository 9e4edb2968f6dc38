package idem

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"time"
)

// Pauses between questions to a store that does not answer, or about a busy key.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

// ask asks the store until it answers, ctx ends or patience does. sent is when
// the answered question was asked: what it changed, it changed later than that.
func ask[T any](ctx context.Context, c *Client, f func(context.Context) (T, error)) (answer T, sent time.Time, err error) {
	end := time.Now().Add(or(c.Patience, 5*time.Second))
	var said error // the last that is not only that time was up
	for try := 0; ; try++ {
		sent = time.Now()
		limit := sent.Add(or(c.Try, time.Second))
		if limit.After(end) {
			limit = end
		}
		one, cancel := context.WithDeadline(ctx, limit)
		answer, err = f(one)
		cancel()
		if err == nil || errors.Is(err, ErrRefused) {
			return answer, sent, err
		}
		c.resent.Add(1)
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
			said = err
		}
		next := backoff(try)
		if !time.Now().Add(next).Before(end) || pause(ctx, next) != nil {
			return answer, sent, errors.Join(cmp.Or(said, err), ctx.Err())
		}
	}
}

// begin asks for the record. If that remains without an answer, the store may
// have given it to an owner who does not know: it is taken back, in one try.
func (j *job) begin(ctx context.Context) (Grant, time.Time, error) {
	c := j.client
	g, sent, err := ask(ctx, c, func(ctx context.Context) (Grant, error) {
		return c.Store.Begin(ctx, j.name, j.claim)
	})
	if err != nil && !errors.Is(err, ErrRefused) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(or(c.Try, time.Second), 100*time.Millisecond))
		defer cancel()
		if j.takeBack(ctx) != nil {
			c.abandoned.Add(1)
		}
	}
	return g, sent, err
}

// takeBack undoes a claim that was not answered. This owner has done nothing, so
// a key that was new or free is free again. One that it took over is not: what
// the dead owner did is as unknown as before, and the next one has to decide. So
// it is, too, if a claim that is still on its way may yet take it over.
func (j *job) takeBack(ctx context.Context) error {
	store, h := j.client.Store, Hold{Owner: j.claim.Owner}
	r, err := store.Lookup(ctx, j.name)
	if err != nil {
		return err
	}
	if r.State == Running && (r.Owner != h.Owner || r.Taken) {
		_, err = store.Renew(ctx, j.name, h, Renewal{Retain: j.claim.Retain})
		return err
	}
	_, err = store.Finish(ctx, j.name, h, Final{State: Released, Retain: j.claim.Retain, Print: j.claim.Print})
	return err
}

// wait waits for a busy key, or says why not.
func (j *job) wait(ctx context.Context, g Grant) error {
	c := j.client
	if j.waits == 0 {
		c.busy.Add(1)
		if !j.policy.Wait {
			return j.error(ErrBusy, g, nil)
		}
		if c.waiting.Add(1) > int64(or(c.MaxWaiters, 1024)) {
			c.waiting.Add(-1)
			c.turnedAway.Add(1)
			return j.error(ErrBusy, g, nil)
		}
		j.queued = true
	}
	// The owner commonly ends long before its lease, which it renews besides.
	if err := pause(ctx, min(backoff(j.waits), max(g.Left, firstPause))); err != nil {
		return j.error(ErrBusy, g, err)
	}
	j.waits++
	return nil
}

func (j *job) leaveQueue() {
	if j.queued {
		j.client.waiting.Add(-1)
	}
}

// backoff doubles with each try, and is anything between half and all of that,
// so that those who wait for the same do not come at the same instant.
func backoff(try int) time.Duration {
	d := min(firstPause<<min(try, 16), lastPause)
	return d/2 + rand.N(d/2)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
