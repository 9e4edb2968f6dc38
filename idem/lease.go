package idem

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// alarms is where a lease sets its two alarms. f runs on a goroutine of its own.
type alarms interface {
	after(d time.Duration, f func()) alarm
}

// alarm is one that was set. Both methods say whether it was still to come.
type alarm interface {
	Stop() bool
	Reset(d time.Duration) bool
}

// runtimeAlarms are the Go runtime's timers: a heap for each processor, and no
// goroutine until one is due.
type runtimeAlarms struct{}

func (runtimeAlarms) after(d time.Duration, f func()) alarm { return time.AfterFunc(d, f) }

// lease is an owner's time with a record: heartbeats renew it in the store, and
// a context ends before it can.
//
//	sent          beat          beat                    fuse
//	 ├─ lease/3 ───┤── lease/3 ──┤                        │ context ends
//	 └───────────────── 8/10 lease, from the last answered ┘     lease ends, at the earliest
//
// All instants are when a question was sent, on the owner's monotonic clock; the
// store got it later, so its lease ends later.
type lease struct {
	client *Client
	name   string
	hold   Hold
	policy Policy

	ctx  *fenced
	busy sync.WaitGroup // heartbeats in flight: one at most

	mu      sync.Mutex
	stopped bool
	cancel  context.CancelFunc // ends the one in flight; nil before the first
	beat    alarm              // nil before start, as is fuse
	fuse    alarm
}

func newLease(ctx context.Context, c *Client, j *job, h Hold, sent time.Time) *lease {
	l := &lease{client: c, name: j.name, hold: h, policy: j.policy}
	l.ctx = newFenced(ctx, l.safe(sent), &c.fenced)
	return l
}

// start has the lease renewed and the context end. It comes after the renewal of one
// that was granted late, or the fuse would end what is about to be renewed.
func (l *lease) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.beat = l.client.alarms().after(l.policy.Lease/3, l.pulse)
	l.fuse = l.client.alarms().after(time.Until(l.ctx.until()), l.burn)
}

// safe returns until when a lease that was sent for then may be relied upon.
func (l *lease) safe(sent time.Time) time.Time { return sent.Add(l.policy.Lease / 10 * 8) }

// stop ends the heartbeats and waits for one in flight. It may be called again.
func (l *lease) stop() {
	l.mu.Lock()
	l.stopped = true
	if l.beat != nil {
		l.beat.Stop()
		l.fuse.Stop()
	}
	if l.cancel != nil {
		l.cancel()
	}
	l.mu.Unlock()
	l.busy.Wait()
	l.ctx.end(context.Canceled)
}

// pulse is one heartbeat.
func (l *lease) pulse() {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return
	}
	l.busy.Add(1) // under mu, so that stop waits for it
	defer l.busy.Done()
	// The caller may have left: as long as fn runs, the lease is renewed.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), l.policy.Lease/3)
	defer cancel()
	l.cancel = cancel
	l.mu.Unlock()

	next := l.policy.Lease / 3
	switch v, err := l.renew(ctx, nil, 0); {
	case v == Lost || v == Conflict:
		return // and no more beats
	case err != nil:
		l.client.missed.Add(1)
		next = l.policy.Lease / 20
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped {
		l.beat.Reset(next)
	}
}

// renew asks the store for another lease, once, and moves the end of the
// context. The verdict is 0 when there was no answer.
func (l *lease) renew(ctx context.Context, step []byte, no int) (Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, or(l.client.Try, time.Second))
	defer cancel()
	sent := time.Now()
	l.client.beats.Add(1)
	n := Renewal{Lease: l.policy.Lease, Retain: l.policy.Retain, Step: step, StepNo: no}
	v, err := l.client.Store.Renew(ctx, l.name, l.hold, n)
	if err != nil {
		return 0, err
	}
	switch v {
	case Lost:
		l.ctx.end(ErrFenced)
		return v, ErrLost
	case Conflict:
		l.ctx.end(ErrFenced)
		return v, ErrConflict
	}
	l.ctx.extend(l.safe(sent))
	return v, nil
}

// burn is the fuse: it ends the context when its time has come, and is set anew
// when that has moved.
func (l *lease) burn() {
	left := time.Until(l.ctx.until())
	if left <= 0 {
		l.ctx.end(ErrFenced)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped {
		l.fuse.Reset(left)
	}
}

// fenced is a context that can be given more time while it lives. Its Err looks
// at the clock: a process that was stopped and goes on does not wait for a
// timer to learn that its time is up.
type fenced struct {
	context.Context
	cancel context.CancelCauseFunc
	fences *atomic.Uint64 // counts ends for ErrFenced

	mu    sync.Mutex
	last  time.Time
	ended bool
}

func newFenced(parent context.Context, last time.Time, fences *atomic.Uint64) *fenced {
	f := &fenced{last: last, fences: fences}
	f.Context, f.cancel = context.WithCancelCause(parent)
	return f
}

// Err is context.Context's, and never nil after the end of the lease.
func (f *fenced) Err() error {
	f.mu.Lock()
	over := !f.ended && !time.Now().Before(f.last)
	f.mu.Unlock()
	if over {
		f.end(ErrFenced)
	}
	return f.Context.Err()
}

func (f *fenced) until() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// extend moves the end on. What has ended stays so.
func (f *fenced) extend(last time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last.After(f.last) {
		f.last = last
	}
}

// end ends the context. The first cause counts.
func (f *fenced) end(cause error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	f.ended = true
	if cause == ErrFenced && f.Context.Err() == nil {
		f.fences.Add(1)
	}
	f.cancel(cause)
}
