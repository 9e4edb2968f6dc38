package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

// Config says what file it is, and for whom. Path, Name, Buckets, Closed and
// Broken must be set.
type Config struct {
	Path string

	Limit int           // records: see Turn.Full. 0: 1,000,000
	Queue int           // changes that wait to be written; the next ones wait for room. 0: 1024
	Batch int           // changes in one transaction. 0: 256
	Lock  time.Duration // how long to wait for another process to leave the file. 0: 1 s

	Name    string   // of the package, for the errors of the disk
	Buckets []string // which are made if they are not there. The keys of the first are the records that are counted
	Closed  error    // what calls get after Close
	Broken  error    // what calls get after the first error of the disk

	// After is called at the end of each transaction with the number of changes
	// that were asked for in it, on the writer's goroutine. An error is the
	// disk's. nil: nothing is to be done then.
	After func(t *Turn, changes int) error
}

// Stats counts what a File has done.
type Stats struct {
	Records int64
	Commits uint64 // transactions written, each with one fdatasync of the data and one of the root
	Changes uint64 // written in them
	Refused uint64 // records that found no room
	Broken  bool
}

// File is one. Its methods may be called from any goroutine.
type File struct {
	cfg    Config
	db     *bbolt.DB
	queue  chan *change
	quit   chan struct{} // closed by Close
	ended  chan struct{} // closed when the writer has ended
	once   sync.Once
	update func(func(*bbolt.Tx) error) error // of db; replaced by tests

	broken  atomic.Bool
	records atomic.Int64 // the writer's to change, as the next two
	commits atomic.Uint64
	changes atomic.Uint64
	refused atomic.Uint64
}

// Open opens the file, and makes it if it is not there. It waits for the lock of
// another process as Config.Lock says. Close it when done. A file that is damaged, cut
// off for instance, is an error; this process keeps its lock then.
func Open(cfg Config) (_ *File, err error) {
	// What bbolt maps and is not in the file is a fault; what is not a page it panics
	// about. All pages of the records are looked at here.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s: the file is damaged: %v", cfg.Name, v)
		}
	}()
	set(&cfg.Limit, 1_000_000)
	set(&cfg.Queue, 1024)
	set(&cfg.Batch, 256)
	set(&cfg.Lock, time.Second)
	db, err := bbolt.Open(cfg.Path, 0o600, &bbolt.Options{Timeout: cfg.Lock, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Name, err)
	}
	f := &File{cfg: cfg, db: db, queue: make(chan *change, cfg.Queue),
		quit: make(chan struct{}), ended: make(chan struct{}), update: db.Update}
	if err := db.Update(f.prepare); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Name, errors.Join(err, db.Close()))
	}
	go f.write()
	return f, nil
}

func set[T int | time.Duration](n *T, unset T) {
	if *n <= 0 {
		*n = unset
	}
}

// prepare makes the buckets, and counts what was there.
func (f *File) prepare(tx *bbolt.Tx) error {
	for _, name := range f.cfg.Buckets {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	f.records.Store(int64(tx.Bucket([]byte(f.cfg.Buckets[0])).Stats().KeyN))
	return nil
}

// Close waits for the transaction that is being written, refuses what waits
// behind it, and closes the file. Calls after it get Config.Closed.
func (f *File) Close() error {
	f.once.Do(func() { close(f.quit) })
	<-f.ended
	return f.db.Close()
}

// View reads the file: what read sees was answered, or may have been. What it
// returns View returns.
func (f *File) View(ctx context.Context, read func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.broken.Load() {
		return f.cfg.Broken
	}
	err := f.db.View(read)
	if errors.Is(err, bbolt.ErrDatabaseNotOpen) {
		return f.cfg.Closed
	}
	return err
}

// Broken tells whether the disk has failed.
func (f *File) Broken() bool { return f.broken.Load() }

// Limit returns how many records there may be.
func (f *File) Limit() int { return f.cfg.Limit }

// Stats returns the counts. They are read one after the other.
func (f *File) Stats() Stats {
	return Stats{Records: f.records.Load(), Commits: f.commits.Load(), Changes: f.changes.Load(),
		Refused: f.refused.Load(), Broken: f.broken.Load()}
}
