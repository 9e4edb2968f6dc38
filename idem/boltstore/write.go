package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/weir-go/weir/idem"
)

// change is one record's, on its way through the queue.
type change struct {
	name  string
	apply func(t *turn, r *idem.Record) (changed bool, err error)
	err   error         // the writer's until done
	done  chan struct{} // closed when it is on the disk, or will not be
}

// submit has the writer apply a change, and returns when that is on the disk.
// When ctx ends before, it may be there or come to be.
func (s *Store) submit(ctx context.Context, name string, apply func(*turn, *idem.Record) (bool, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &change{name: name, apply: apply, done: make(chan struct{})}
	select {
	case s.queue <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.quit:
		return ErrClosed
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ended: // it may have been the last that was written
		select {
		case <-c.done:
			return c.err
		default:
			return ErrClosed
		}
	}
}

// write is the writer's goroutine. It ends with Close.
func (s *Store) write() {
	defer close(s.ended)
	batch := make([]*change, 0, s.batch)
	for {
		select {
		case <-s.quit:
			return
		case c := <-s.queue:
			batch = append(batch[:0], c)
		}
	more:
		for len(batch) < s.batch {
			select {
			case c := <-s.queue:
				batch = append(batch, c)
			default:
				break more
			}
		}
		s.commit(batch)
		clear(batch)
	}
}

// commit writes the changes in one transaction and answers.
func (s *Store) commit(batch []*change) {
	count := s.count.Load()
	var t *turn
	err := error(ErrBroken)
	if !s.broken.Load() {
		err = s.update(func(tx *bbolt.Tx) error {
			t = &turn{store: s, now: time.Now(), records: tx.Bucket(recordsBucket), ages: tx.Bucket(agesBucket)}
			for _, c := range batch {
				if err := t.do(c); err != nil {
					return err
				}
			}
			return t.sweep(2 * len(batch))
		})
		if err != nil {
			// A disk that failed once may have dropped what it was given, and
			// say that all is well when asked again.
			s.broken.Store(true)
			s.count.Store(count)
			err = fmt.Errorf("boltstore: %w", err)
		} else {
			s.commits.Add(1)
			s.changes.Add(t.written)
		}
	}
	for _, c := range batch {
		if err != nil {
			c.err = err
		}
		close(c.done)
	}
}

// turn is one transaction.
type turn struct {
	store   *Store
	now     time.Time
	records *bbolt.Bucket
	ages    *bbolt.Bucket
	written uint64
}

// nextFence returns one above all that were given; put makes it so.
func (t *turn) nextFence() uint64 { return t.records.Sequence() + 1 }

// do applies one change. The error is the disk's: the change's own stays with it.
func (t *turn) do(c *change) error {
	var r idem.Record
	if b := t.records.Get([]byte(c.name)); b != nil {
		if c.err = unmarshal(c.name, b, &r); c.err != nil {
			return nil
		}
	}
	there, expires := r.State != idem.Absent, r.Expires
	// A lease is looked at and ended under one lock, so that no heartbeat
	// prolongs one that was just found to be over.
	s := t.store
	s.mu.Lock()
	t.now = time.Now() // not before a lease that was given up since the turn began
	s.lend(&r)
	changed, err := c.apply(t, &r)
	s.mu.Unlock()
	if c.err = err; err != nil || !changed {
		return nil
	}
	if there {
		if err := t.ages.Delete(age(expires, c.name)); err != nil {
			return err
		}
	} else {
		s.count.Add(1)
	}
	t.written++
	return t.put(c.name, &r)
}

// running notes the lease of r, and has the file keep r half a retention longer,
// so that most heartbeats need not be written. The store's mu is held.
func (t *turn) running(name string, r *idem.Record, retain time.Duration) {
	r.Expires = r.Expires.Add(retain / 2)
	t.store.leases[r.Fence] = lease{name: name, owner: r.Owner, until: r.Until, saved: r.Expires}
}

func (t *turn) put(name string, r *idem.Record) error {
	if r.Fence > t.records.Sequence() {
		if err := t.records.SetSequence(r.Fence); err != nil {
			return err
		}
	}
	b, err := r.AppendBinary(nil)
	if err != nil {
		return err
	}
	if err := t.records.Put([]byte(name), b); err != nil {
		return err
	}
	if r.Expires.IsZero() {
		return nil
	}
	return t.ages.Put(age(r.Expires, name), nil)
}

// age is a record's key in the order of expiry.
func age(expires time.Time, name string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(expires.UnixNano())), name...)
}

// sweep forgets up to n records whose time has passed: twice as many as one
// turn may add.
func (t *turn) sweep(n int) error {
	var old [][]byte
	cursor := t.ages.Cursor()
	for k, _ := cursor.First(); k != nil && len(old) < n; k, _ = cursor.Next() {
		if time.Unix(0, int64(binary.BigEndian.Uint64(k))).After(t.now) {
			break
		}
		old = append(old, bytes.Clone(k)) // what is changed below may move it
	}
	for _, k := range old {
		name := string(k[8:])
		var r idem.Record
		if err := unmarshal(name, t.records.Get(k[8:]), &r); err != nil {
			continue // kept, for somebody to look at
		}
		t.store.mu.Lock()
		t.store.lend(&r)
		fence := r.Fence
		if r.Forget(t.now); r.State == idem.Absent {
			delete(t.store.leases, fence)
		}
		t.store.mu.Unlock()
		if r.State != idem.Absent {
			continue
		}
		if err := t.ages.Delete(k); err != nil {
			return err
		}
		if err := t.records.Delete([]byte(name)); err != nil {
			return err
		}
		t.store.count.Add(-1)
	}
	return nil
}
