package boltlog

import (
	"context"

	"go.etcd.io/bbolt"

	"github.com/weir-go/weir/internal/groupcommit"
)

// turn is the transaction that a change is part of.
type turn struct {
	*groupcommit.Turn
	records, open, ended *bbolt.Bucket
}

// submit has the writer apply a change, and returns when that is on the disk.
// When ctx ends before, it may be there or come to be.
func (l *Log) submit(ctx context.Context, apply func(*turn) (refused, disk error)) error {
	return l.file.Do(ctx, func(g *groupcommit.Turn) (refused, disk error) {
		return apply(&turn{Turn: g, records: g.Bucket([]byte(recordsBucket)),
			open: g.Bucket([]byte(openBucket)), ended: g.Bucket([]byte(endedBucket))})
	})
}

// put writes a record. ended is its key in that bucket, nil for an open one.
func (t *turn) put(id string, b, ended []byte) error {
	t.Changes++
	if err := t.records.Put([]byte(id), b); err != nil {
		return err
	}
	if ended != nil {
		return t.ended.Put(ended, nil)
	}
	return t.open.Put([]byte(id), nil)
}

// drop takes a record off the lists that it is on.
func (t *turn) drop(id string, ended []byte) error {
	if ended != nil {
		return t.ended.Delete(ended)
	}
	return t.open.Delete([]byte(id))
}
