package boltlog

import (
	"context"
	"fmt"

	"go.etcd.io/bbolt"
)

// change is one, on its way through the queue.
type change struct {
	apply func(*turn) (refused, disk error)
	err   error         // the writer's until done
	done  chan struct{} // closed when it is on the disk, or will not be
}

// turn is one transaction.
type turn struct {
	records, open, ended *bbolt.Bucket
}

// submit has the writer apply a change, and returns when that is on the disk.
// When ctx ends before, it may be there or come to be.
func (l *Log) submit(ctx context.Context, apply func(*turn) (refused, disk error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &change{apply: apply, done: make(chan struct{})}
	select {
	case l.queue <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-l.quit:
		return ErrClosed
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	case <-l.ended: // it may have been the last that was written
		select {
		case <-c.done:
			return c.err
		default:
			return ErrClosed
		}
	}
}

// write is the writer's goroutine. It ends with Close.
func (l *Log) write() {
	defer close(l.ended)
	batch := make([]*change, 0, l.batch)
	for {
		select {
		case <-l.quit:
			return
		case c := <-l.queue:
			batch = append(batch[:0], c)
		}
	more:
		for len(batch) < l.batch {
			select {
			case c := <-l.queue:
				batch = append(batch, c)
			default:
				break more
			}
		}
		l.commit(batch)
		clear(batch)
	}
}

// commit writes the changes in one transaction and answers.
func (l *Log) commit(batch []*change) {
	count, written := l.count.Load(), 0
	err := error(ErrBroken)
	if !l.broken.Load() {
		err = l.update(func(tx *bbolt.Tx) error {
			t := &turn{records: tx.Bucket(recordsBucket), open: tx.Bucket(openBucket), ended: tx.Bucket(endedBucket)}
			for _, c := range batch {
				refused, disk := c.apply(t)
				if disk != nil {
					return disk
				}
				if c.err = refused; refused == nil {
					written++
				}
			}
			return nil
		})
		if err != nil {
			// A disk that failed once may have dropped what it was given, and
			// say that all is well when asked again.
			l.broken.Store(true)
			l.count.Store(count)
			err = fmt.Errorf("boltlog: %w", err)
		} else {
			l.commits.Add(1)
			l.changes.Add(uint64(written))
		}
	}
	for _, c := range batch {
		if err != nil {
			c.err = err
		}
		close(c.done)
	}
}

// put writes a record. ended is its key in that bucket, nil for an open one.
func (t *turn) put(id string, b, ended []byte) error {
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
