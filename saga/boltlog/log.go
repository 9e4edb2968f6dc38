// Package boltlog keeps the records of sagas in a file of this process: a bbolt
// database, as package boltstore does for idem.
//
//	Create, Write, Forget ─► queue ─► one goroutine ─► transaction ─► fdatasync ─► all answers
//	                         bounded   takes what waits
//	Load, Open ─► answered at once
//
// Whatever was answered is on the disk. Changes that come while a transaction is
// being written go into the next one together (package internal/groupcommit). A
// file has one process at a time, which its lock sees to.
package boltlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/weir-go/weir/internal/groupcommit"
	"github.com/weir-go/weir/saga"
)

// Config says where the records are. Only Path must be set.
type Config struct {
	Path string

	Limit int           // records; one more is saga.ErrFull. 0: 1,000,000
	Queue int           // changes that wait to be written; the next ones wait for room. 0: 1024
	Batch int           // changes in one transaction. 0: 256
	Lock  time.Duration // how long to wait for another process to leave the file. 0: 1 s
}

var (
	// ErrClosed is what calls get after Close.
	ErrClosed = errors.New("boltlog: closed")

	// ErrBroken is what calls get after the file could not be written once: what
	// is on the disk is not known any more, so nothing is acknowledged until the
	// file has been opened anew.
	ErrBroken = errors.New("boltlog: broken by an earlier error of the disk")
)

// Stats counts what a Log has done.
type Stats struct {
	Records int64
	Commits uint64 // transactions written
	Changes uint64 // written in them
	Refused uint64 // records that found no room
	Broken  bool
}

// Log is a saga.Log in a file. Its methods may be called from any goroutine.
type Log struct {
	file *groupcommit.File
}

const (
	recordsBucket = "records" // ID to record
	openBucket    = "open"    // IDs of those that have not ended
	endedBucket   = "ended"   // end and ID of the others
)

// Open opens the file, and makes it if it is not there. It waits for the lock of
// another process as Config.Lock says. Close it when done.
func Open(cfg Config) (*Log, error) {
	f, err := groupcommit.Open(groupcommit.Config{Path: cfg.Path, Limit: cfg.Limit, Queue: cfg.Queue, Batch: cfg.Batch,
		Lock: cfg.Lock, Name: "boltlog", Buckets: []string{recordsBucket, openBucket, endedBucket},
		Closed: ErrClosed, Broken: ErrBroken})
	if err != nil {
		return nil, err
	}
	return &Log{file: f}, nil
}

// Close waits for the transaction that is being written, refuses what waits
// behind it, and closes the file. Calls after it get ErrClosed.
func (l *Log) Close() error { return l.file.Close() }

// Stats returns the counts. They are read one after the other.
func (l *Log) Stats() Stats { return Stats(l.file.Stats()) }

// Create implements saga.Log.
func (l *Log) Create(ctx context.Context, r *saga.Record) error {
	b, err := r.AppendBinary(nil)
	if err != nil {
		return err
	}
	id, ended := r.ID, end(r)
	return l.submit(ctx, func(t *turn) (error, error) {
		if t.records.Get([]byte(id)) != nil {
			return fmt.Errorf("%w: %q", saga.ErrExists, id), nil
		}
		if t.Full() {
			return fmt.Errorf("%w: %d records", saga.ErrFull, l.file.Limit()), nil
		}
		t.Records++
		return nil, t.put(id, b, ended)
	})
}

// Write implements saga.Log.
func (l *Log) Write(ctx context.Context, r *saga.Record, version, fence uint64) error {
	b, err := r.AppendBinary(nil)
	if err != nil {
		return err
	}
	id, ended := r.ID, end(r)
	return l.submit(ctx, func(t *turn) (error, error) {
		var old saga.Record
		was := t.records.Get([]byte(id))
		if was == nil {
			return fmt.Errorf("%w: %q", saga.ErrNotFound, id), nil
		}
		if err := old.UnmarshalBinary(was); err != nil {
			return err, nil
		}
		if old.Version != version || old.Fence != fence {
			return fmt.Errorf("%w: %q", saga.ErrConflict, id), nil
		}
		if err := t.drop(id, end(&old)); err != nil {
			return nil, err
		}
		return nil, t.put(id, b, ended)
	})
}

// Load implements saga.Log.
func (l *Log) Load(ctx context.Context, id string) (r saga.Record, err error) {
	err = l.file.View(ctx, func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(recordsBucket)).Get([]byte(id))
		if b == nil {
			return fmt.Errorf("%w: %q", saga.ErrNotFound, id)
		}
		return r.UnmarshalBinary(b)
	})
	return r, err
}

// Open implements saga.Log.
func (l *Log) Open(ctx context.Context, above string, n int) (ids []string, err error) {
	err = l.file.View(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte(openBucket)).Cursor()
		for k, _ := c.Seek([]byte(above)); k != nil && len(ids) < n; k, _ = c.Next() {
			if string(k) > above {
				ids = append(ids, string(k))
			}
		}
		return nil
	})
	return ids, err
}

// Forget implements saga.Log.
func (l *Log) Forget(ctx context.Context, before int64, n int) (gone int, err error) {
	err = l.submit(ctx, func(t *turn) (error, error) {
		var old [][]byte
		c := t.ended.Cursor()
		for k, _ := c.First(); k != nil && len(old) < n; k, _ = c.Next() {
			if int64(binary.BigEndian.Uint64(k)) >= before {
				break
			}
			old = append(old, bytes.Clone(k)) // what is changed below may move it
		}
		for _, k := range old {
			if err := t.ended.Delete(k); err != nil {
				return nil, err
			}
			if err := t.records.Delete(k[8:]); err != nil {
				return nil, err
			}
			t.Records--
		}
		if gone = len(old); gone > 0 {
			t.Changes++
		}
		return nil, nil
	})
	if err != nil {
		return 0, err
	}
	return gone, nil
}

// end returns the key of a record in endedBucket, nil if it has not ended.
func end(r *saga.Record) []byte {
	if !r.State.Ended() {
		return nil
	}
	return append(binary.BigEndian.AppendUint64(nil, uint64(max(0, r.Ended.UnixNano()))), r.ID...)
}
