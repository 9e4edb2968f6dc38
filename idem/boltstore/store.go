package boltstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/internal/groupcommit"
)

// Config says where the records are. Only Path must be set.
type Config struct {
	Path string

	Limit int           // records. 0: 1,000,000. When all are in use a new key is refused, idem.ErrFull
	Queue int           // changes that wait to be written; the next ones wait for room. 0: 1024
	Batch int           // changes in one transaction. 0: 256
	Lock  time.Duration // how long to wait for another process to leave the file. 0: 1 s
}

// ErrClosed is what calls get after Close. It is an idem.ErrRefused.
var ErrClosed = fmt.Errorf("%w: boltstore: closed", idem.ErrRefused)

// ErrBroken is what calls get after the file could not be written once: what is
// on the disk is not known any more, so nothing is acknowledged until the file
// has been opened anew. It is an idem.ErrRefused.
var ErrBroken = fmt.Errorf("%w: boltstore: broken by an earlier error of the disk", idem.ErrRefused)

// Store is an idem.Store in a file. Its methods may be called from any
// goroutine.
type Store struct {
	file *groupcommit.File

	mu     sync.Mutex
	leases map[uint64]lease // by fence: those granted by this process that are not over
}

// lease is what is known of a running record beside the file.
type lease struct {
	name  string
	owner idem.Owner
	until time.Time
	saved time.Time // the expiry in the file
}

const (
	recordsBucket = "records" // name to record
	agesBucket    = "ages"    // expiry and name, to forget by
)

// Open opens the file, and makes it if it is not there. It waits for the lock of
// another process as Config.Lock says. Close it when done.
func Open(cfg Config) (*Store, error) {
	s := &Store{leases: make(map[uint64]lease)}
	f, err := groupcommit.Open(groupcommit.Config{Path: cfg.Path, Limit: cfg.Limit, Queue: cfg.Queue, Batch: cfg.Batch,
		Lock: cfg.Lock, Name: "boltstore", Buckets: []string{recordsBucket, agesBucket},
		Closed: ErrClosed, Broken: ErrBroken, After: s.sweep})
	if err != nil {
		return nil, err
	}
	s.file = f
	return s, nil
}

// Close waits for the transaction that is being written, refuses what waits
// behind it, and closes the file. Calls after it get ErrClosed.
func (s *Store) Close() error { return s.file.Close() }

// Begin implements idem.Store. Only a claim that is granted is written.
func (s *Store) Begin(ctx context.Context, name string, c idem.Claim) (g idem.Grant, err error) {
	r, err := s.Lookup(ctx, name)
	if err != nil {
		return g, err
	}
	// Lookup may have seen a record of before and a lease that has been ended
	// since by a change on its way to the disk. That the lease is over is the
	// writer's to say.
	if g, changed := r.Begin(time.Now(), 0, c); !changed && g.Answer != idem.Stuck {
		return g, nil
	}
	err = s.submit(ctx, name, func(t *turn, r *idem.Record) (bool, error) {
		if r.State == idem.Absent && t.Full() {
			return false, fmt.Errorf("%w: %d records", idem.ErrFull, s.file.Limit())
		}
		var changed bool
		old := r.Fence
		g, changed = r.Begin(t.now, t.nextFence(), c)
		if changed {
			delete(s.leases, old)
			t.running(name, r, c.Retain)
		}
		return changed, nil
	})
	return g, err
}

// Renew implements idem.Store. Nothing is written unless there is a step, or
// the record would be forgotten too early otherwise.
func (s *Store) Renew(ctx context.Context, name string, h idem.Hold, n idem.Renewal) (v idem.Verdict, err error) {
	if s.renewInMemory(name, h, n) {
		return idem.OK, ctx.Err()
	}
	err = s.submit(ctx, name, func(t *turn, r *idem.Record) (bool, error) {
		v = r.Renew(t.now, h, n)
		if v == idem.OK {
			t.running(name, r, n.Retain)
		}
		return v == idem.OK, nil
	})
	return v, err
}

func (s *Store) renewInMemory(name string, h idem.Hold, n idem.Renewal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	l, held := s.leases[h.Fence]
	if !held || l.name != name || l.owner != h.Owner || n.Step != nil ||
		now.Add(n.Retain).After(l.saved) || s.file.Broken() {
		return false
	}
	l.until = now.Add(n.Lease)
	s.leases[h.Fence] = l
	return true
}

// Finish implements idem.Store.
func (s *Store) Finish(ctx context.Context, name string, h idem.Hold, f idem.Final) (idem.Verdict, error) {
	return s.end(ctx, name, func(r *idem.Record, now time.Time) idem.Verdict { return r.Finish(now, h, f) })
}

// Resolve implements idem.Store.
func (s *Store) Resolve(ctx context.Context, name string, version uint64, f idem.Final) (idem.Verdict, error) {
	return s.end(ctx, name, func(r *idem.Record, now time.Time) idem.Verdict { return r.Resolve(now, version, f) })
}

func (s *Store) end(ctx context.Context, name string, f func(*idem.Record, time.Time) idem.Verdict) (v idem.Verdict, err error) {
	err = s.submit(ctx, name, func(t *turn, r *idem.Record) (bool, error) {
		version := r.Version
		v = f(r, t.now)
		changed := r.State != idem.Absent && r.Version != version
		if changed {
			delete(s.leases, r.Fence)
		}
		return changed, nil
	})
	return v, err
}

// Lookup implements idem.Store.
func (s *Store) Lookup(ctx context.Context, name string) (r idem.Record, err error) {
	err = s.file.View(ctx, func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(recordsBucket)).Get([]byte(name))
		if b == nil {
			return nil
		}
		return unmarshal(name, b, &r)
	})
	if err != nil {
		return r, err
	}
	s.mu.Lock()
	s.lend(&r)
	s.mu.Unlock()
	r.Forget(time.Now())
	return r, nil
}

// lend fills in what the file does not say. mu is held.
func (s *Store) lend(r *idem.Record) {
	if r.State == idem.Running {
		r.Until = s.leases[r.Fence].until // none: its owner was of another process, and is dead
	}
}

func unmarshal(name string, b []byte, r *idem.Record) error {
	if err := r.UnmarshalBinary(b); err != nil {
		return fmt.Errorf("%w: boltstore: %s: %w", idem.ErrRefused, name, err)
	}
	return nil
}
