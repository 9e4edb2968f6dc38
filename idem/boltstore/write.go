package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"go.etcd.io/bbolt"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/internal/groupcommit"
)

// turn is the transaction that a change is part of.
type turn struct {
	*groupcommit.Turn
	store   *Store
	now     time.Time
	records *bbolt.Bucket
	ages    *bbolt.Bucket
}

func (s *Store) turn(g *groupcommit.Turn) *turn {
	return &turn{Turn: g, store: s, now: time.Now(), records: g.Bucket([]byte(recordsBucket)), ages: g.Bucket([]byte(agesBucket))}
}

// submit has the writer apply a change to one record, and returns when that is
// on the disk. When ctx ends before, it may be there or come to be.
func (s *Store) submit(ctx context.Context, name string, apply func(*turn, *idem.Record) (changed bool, err error)) error {
	return s.file.Do(ctx, func(g *groupcommit.Turn) (refused, disk error) { return s.turn(g).do(name, apply) })
}

// nextFence returns one above all that were given; put makes it so.
func (t *turn) nextFence() uint64 { return t.records.Sequence() + 1 }

// do applies a change. What refuses it leaves everything as it was.
func (t *turn) do(name string, apply func(*turn, *idem.Record) (changed bool, err error)) (refused, disk error) {
	var r idem.Record
	if b := t.records.Get([]byte(name)); b != nil {
		if err := unmarshal(name, b, &r); err != nil {
			return err, nil
		}
	}
	there, expires := r.State != idem.Absent, r.Expires
	// A lease is looked at and ended under one lock, so that no heartbeat
	// prolongs one that was just found to be over.
	s := t.store
	s.mu.Lock()
	t.now = time.Now() // not before a lease that was given up while another had the lock
	s.lend(&r)
	changed, err := apply(t, &r)
	s.mu.Unlock()
	if err != nil || !changed {
		return err, nil
	}
	if there {
		if err := t.ages.Delete(age(expires, name)); err != nil {
			return nil, err
		}
	} else {
		t.Records++
	}
	t.Changes++
	return nil, t.put(name, &r)
}

// running notes the lease of r, and has the file keep r half a retention longer,
// so that most heartbeats need not be written. The store's mu is held.
func (t *turn) running(name string, r *idem.Record, retain time.Duration) {
	if longer := r.Expires.Add(retain / 2); longer.Year() < 2262 { // what nanoseconds can say
		r.Expires = longer
	}
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

// sweep forgets records whose time has passed, at the end of a transaction of n
// changes: twice as many as those may have added.
func (s *Store) sweep(g *groupcommit.Turn, n int) error {
	t := s.turn(g)
	for _, k := range t.old(2 * n) {
		if !t.forget(k) {
			continue
		}
		if err := t.ages.Delete(k); err != nil {
			return err
		}
		if err := t.records.Delete(k[8:]); err != nil {
			return err
		}
		t.Records--
	}
	return nil
}

// old returns the keys of up to n records whose time has passed by the file.
func (t *turn) old(n int) (keys [][]byte) {
	cursor := t.ages.Cursor()
	for k, _ := cursor.First(); k != nil && len(keys) < n; k, _ = cursor.Next() {
		if time.Unix(0, int64(binary.BigEndian.Uint64(k))).After(t.now) {
			break
		}
		keys = append(keys, bytes.Clone(k)) // what is changed later may move it
	}
	return keys
}

// forget tells whether the record of that age is to go, and ends its lease then.
func (t *turn) forget(age []byte) bool {
	name := age[8:]
	var r idem.Record
	if err := unmarshal(string(name), t.records.Get(name), &r); err != nil {
		return false // kept, for somebody to look at
	}
	s := t.store
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lend(&r)
	fence := r.Fence
	if r.Forget(t.now); r.State != idem.Absent {
		return false
	}
	delete(s.leases, fence)
	return true
}
