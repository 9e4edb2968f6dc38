// Package idemguard lets several replicas of a program agree, by package idem, who
// executes a run of package sched: each run is something that is done once, under
// the key of its job and its instant.
//
//	replica 1  due ─ Hold ─► Begin: new ──► body ─► End(ran) ─► Finish: done
//	replica 2  due ─ Hold ─► Begin: busy ─► HeldError
//	replica 2  later ──────► Begin: done ─► ErrTaken
//
//	replica 1  due ─ Hold ─► Begin: new ──► body ... dies; no heartbeat any more
//	replica 2  after its lease: Hold ─► Begin: takeover, a higher fence ─► body
//
//	client := &idem.Client{Store: store} // one that the replicas share: contrib/redis
//	s, err := sched.New(sched.Config{Guard: &idemguard.Guard{Client: client}})
//
// There is no leader and no lock that outlives what it is for: a replica that
// fires late, or again after a restart, finds the run done.
//
// # What is promised
//
// What idem promises: one hold at most is live at any time, a run that was ended
// as run is not held again before Retain is over, and a holder who was cut off is
// told (lost) before another can have the run. A body that does not heed its
// context may go on beside the one that took over: hand Fire.Fence to what it
// changes.
//
// Fences rise from hold to hold of one run always. From one run of a job to the
// next they rise as far as the Store's do: those of idem.Memory and of package
// boltstore count, those of Redis are the server's time, and rise unless it is
// set back.
package idemguard

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/sched"
)

// Guard is a sched.Guard. Client must be set; nothing may be changed after the
// first Hold. It has a goroutine for each hold, until that has ended.
type Guard struct {
	Client *idem.Client // whose Store all replicas share

	Space     string // as in idem.Key: of this program
	Operation string // likewise. "": "run"

	// Lease is how long a holder may be silent until another takes over, Retain
	// how long a run is known to have been executed: longer than any replica can
	// be late. Attempts is how many holders may die in one run until it is held no
	// more (idem.ErrStuck), until somebody resolves its key. 0: 30 s, 24 h and 5.
	Lease    time.Duration
	Retain   time.Duration
	Attempts int
}

var _ sched.Guard = (*Guard)(nil)

// errNotRun gives a hold back.
var errNotRun = errors.New("idemguard: not run")

// Hold implements sched.Guard. It does not wait for another holder. An error
// that is not sched.ErrTaken, which a *sched.HeldError is, too, is idem's.
func (g *Guard) Hold(ctx context.Context, k sched.Key, lost func(error)) (sched.Held, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// The hold outlives this call: ctx has a say until it is granted.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	h := &held{lost: lost, granted: make(chan struct{}), ended: make(chan bool, 1), over: make(chan struct{})}
	h.detach = context.AfterFunc(ctx, end)
	policy := idem.Policy{Unknown: idem.Redo(), Lease: g.Lease, Retain: g.Retain, Attempts: g.Attempts}
	go func() {
		defer close(h.over)
		defer end()
		_, h.err = g.Client.Do(life, g.key(k), nil, policy, h.run)
		h.detach()
	}()
	select {
	case <-h.granted:
		return h, nil
	case <-h.over:
	}
	var e *idem.Error
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case h.err == nil: // done by another
		return nil, sched.ErrTaken
	case errors.Is(h.err, idem.ErrBusy) && errors.As(h.err, &e): // he is at it
		return nil, &sched.HeldError{Left: e.Left}
	}
	return nil, h.err
}

// key names a run. A job's name may be anything, and as long as it likes.
func (g *Guard) key(k sched.Key) idem.Key {
	id := k.String()
	if len(id) > idem.MaxID {
		sum := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(sum[:])
	}
	return idem.Key{Space: g.Space, Operation: cmp.Or(g.Operation, "run"), ID: id}
}

// held is one hold: a call of idem.Client.Do whose function waits for End.
type held struct {
	lost   func(error)
	detach func() (detached bool)

	granted chan struct{} // closed when fence is there
	ended   chan bool     // by End: whether it was run
	over    chan struct{} // closed when err is there

	fence uint64
	err   error
}

// run is what idem calls once it is granted.
func (h *held) run(ctx context.Context, a *idem.Attempt) ([]byte, error) {
	if !h.detach() { // whoever asked does not want it any more
		return nil, idem.Transient(context.Canceled)
	}
	h.fence = a.Fence
	close(h.granted)
	var ran bool
	select {
	case ran = <-h.ended:
	case <-ctx.Done():
		h.lost(sched.ErrLost)
		ran = <-h.ended
	}
	if !ran {
		return nil, idem.Transient(errNotRun)
	}
	return nil, nil
}

// Fence implements sched.Held.
func (h *held) Fence() uint64 { return h.fence }

// End implements sched.Held. When ctx ends before the store has answered, telling
// it goes on, as long as idem.Client.Patience.
func (h *held) End(ctx context.Context, ran bool) error {
	h.ended <- ran
	select {
	case <-h.over:
	case <-ctx.Done():
		return ctx.Err()
	}
	switch {
	case errors.Is(h.err, errNotRun):
		return nil
	case errors.Is(h.err, idem.ErrLost), errors.Is(h.err, idem.ErrConflict):
		return errors.Join(sched.ErrLost, h.err)
	}
	return h.err
}
