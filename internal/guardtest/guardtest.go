// Package guardtest makes replicas of package idemguard for sched's suite, which
// crash without anybody's waiting for a long lease.
package guardtest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/idem/idemguard"
	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/sched/schedtest"
)

// Leases of a replica: one that no machine stands still for, and what is left of
// it after a crash.
const (
	living = 10 * time.Minute
	dying  = 100 * time.Millisecond
)

// Replica returns one over a store, which others may share. When it crashes the
// store does not hear of it any more, and its leases end soon, as if its last
// heartbeats had asked for little.
func Replica(s idem.Store) schedtest.Replica {
	r := &replica{Store: s, holds: make(map[string]idem.Hold)}
	r.Guard = &idemguard.Guard{Client: &idem.Client{Store: r}, Lease: living}
	return schedtest.Replica{Guard: r, Crash: r.crash}
}

type replica struct {
	idem.Store
	sched.Guard
	gone atomic.Bool

	mu    sync.Mutex
	holds map[string]idem.Hold // that were granted
	held  []sched.Held         // likewise
}

func (r *replica) crash() {
	r.gone.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, h := range r.holds { // those that have ended are not renewed
		r.Store.Renew(context.Background(), name, h, idem.Renewal{Lease: dying, Retain: time.Hour})
	}
	for _, h := range r.held { // for the sake of its goroutine
		h.End(context.Background(), false)
	}
}

// Hold implements sched.Guard.
func (r *replica) Hold(ctx context.Context, k sched.Key, lost func(error)) (sched.Held, error) {
	h, err := r.Guard.Hold(ctx, k, lost)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.held = append(r.held, h)
	}
	return h, err
}

// Begin implements idem.Store.
func (r *replica) Begin(ctx context.Context, name string, c idem.Claim) (idem.Grant, error) {
	g, err := r.Store.Begin(ctx, name, c)
	if err == nil && (g.Answer == idem.New || g.Answer == idem.Takeover) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.holds[name] = idem.Hold{Owner: c.Owner, Fence: g.Fence}
	}
	return g, err
}

// Renew implements idem.Store.
func (r *replica) Renew(ctx context.Context, name string, h idem.Hold, n idem.Renewal) (idem.Verdict, error) {
	if r.gone.Load() {
		return 0, idem.ErrRefused
	}
	return r.Store.Renew(ctx, name, h, n)
}

// Finish implements idem.Store.
func (r *replica) Finish(ctx context.Context, name string, h idem.Hold, f idem.Final) (idem.Verdict, error) {
	if r.gone.Load() {
		return 0, idem.ErrRefused
	}
	return r.Store.Finish(ctx, name, h, f)
}
