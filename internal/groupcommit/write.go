package groupcommit

import (
	"context"
	"fmt"

	"go.etcd.io/bbolt"
)

// Turn is one transaction, and what is counted of it once it is on the disk.
// It is the writer's goroutine's: a change keeps none.
type Turn struct {
	*bbolt.Tx
	Records int64  // in the file. Who adds one or takes one away says so here
	Changes uint64 // made. Who makes one says so here

	file *File
}

// Full tells whether there is no room for another record, and counts that as a
// refusal.
func (t *Turn) Full() bool {
	if t.Records < int64(t.file.cfg.Limit) {
		return false
	}
	t.file.refused.Add(1)
	return true
}

// change is one, on its way through the queue.
type change struct {
	apply func(*Turn) (refused, disk error)
	err   error         // the writer's until done
	done  chan struct{} // closed when it is on the disk, or will not be
}

// Do has the writer call apply, and returns when what that did is on the disk.
// When ctx ends before, it may be there or come to be, and apply may be running
// still or have yet to be called.
//
// refused is the change's own, and what Do returns: such a change must have left
// the file as it was. disk is an error of the file: none of the transaction
// becomes true then, and the file is broken.
func (f *File) Do(ctx context.Context, apply func(*Turn) (refused, disk error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &change{apply: apply, done: make(chan struct{})}
	select {
	case f.queue <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-f.quit:
		return f.cfg.Closed
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	case <-f.ended: // it may have been the last that was written
		select {
		case <-c.done:
			return c.err
		default:
			return f.cfg.Closed
		}
	}
}

// write is the writer's goroutine. It ends with Close.
func (f *File) write() {
	defer close(f.ended)
	batch := make([]*change, 0, f.cfg.Batch)
	for {
		select {
		case <-f.quit:
			return
		case c := <-f.queue:
			batch = append(batch[:0], c)
		}
	more:
		for len(batch) < f.cfg.Batch {
			select {
			case c := <-f.queue:
				batch = append(batch, c)
			default:
				break more
			}
		}
		err := f.commit(batch)
		for _, c := range batch {
			if err != nil {
				c.err = err
			}
			close(c.done)
		}
		clear(batch)
	}
}

// commit writes the changes in one transaction.
func (f *File) commit(batch []*change) error {
	if f.broken.Load() {
		return f.cfg.Broken
	}
	t := &Turn{file: f, Records: f.records.Load()}
	err := f.update(func(tx *bbolt.Tx) error {
		t.Tx = tx
		for _, c := range batch {
			var disk error
			if c.err, disk = c.apply(t); disk != nil {
				return disk
			}
		}
		if f.cfg.After == nil {
			return nil
		}
		return f.cfg.After(t, len(batch))
	})
	if err != nil {
		f.broken.Store(true)
		return fmt.Errorf("%s: %w", f.cfg.Name, err)
	}
	f.records.Store(t.Records)
	f.changes.Add(t.Changes)
	f.commits.Add(1)
	return nil
}
