// Package boltstate keeps how far jobs came in a file of this process: a bbolt
// database, as packages idem/boltstore and saga/boltlog do for theirs.
//
//	Begin, End, Forget ─► queue ─► one goroutine ─► transaction ─► fdatasync ─► all answers
//	                      bounded   takes what waits
//	Load ─► answered at once
//
// Whatever was answered is on the disk: a run whose Begin was answered is known
// after kill -9 and a loss of power, and one whose was not has not been begun.
// Jobs that begin while a transaction is being written share the next one
// (package internal/groupcommit). A file has one process at a time, which its
// lock sees to.
package boltstate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/weir-go/weir/internal/groupcommit"
	"github.com/weir-go/weir/sched"
)

// Config says where the marks are. Only Path must be set.
type Config struct {
	Path string

	Limit int           // jobs; one more is ErrFull. 0: 1,000,000
	Queue int           // changes that wait to be written; the next ones wait for room. 0: 1024
	Batch int           // changes in one transaction. 0: 256
	Lock  time.Duration // how long to wait for another process to leave the file. 0: 1 s
}

var (
	// ErrClosed is what calls get after Close.
	ErrClosed = errors.New("boltstate: closed")

	// ErrBroken is what calls get after the file could not be written once: what
	// is on the disk is not known any more, so nothing is acknowledged until the
	// file has been opened anew.
	ErrBroken = errors.New("boltstate: broken by an earlier error of the disk")

	// ErrFull refuses a job for which there is no room.
	ErrFull = errors.New("boltstate: full")

	// ErrName refuses a job whose name has more than 32,000 bytes.
	ErrName = errors.New("boltstate: name too long")

	// ErrFormat says that the file has something in it that this package did not
	// write, or not this version of it.
	ErrFormat = errors.New("boltstate: unknown format")
)

const (
	jobsBucket = "jobs" // "j" and name, for names may be empty, to mark
	mostName   = 32_000
)

// Stats counts what a State has done.
type Stats struct {
	Records int64  // jobs
	Commits uint64 // transactions written
	Changes uint64 // written in them
	Refused uint64 // jobs that found no room
	Broken  bool
}

// State is a sched.State in a file. Its methods may be called from any
// goroutine.
type State struct {
	file *groupcommit.File
}

var _ sched.State = (*State)(nil)

// Open opens the file, and makes it if it is not there. It waits for the lock of
// another process as Config.Lock says. Close it when done, after the Scheduler.
func Open(cfg Config) (*State, error) {
	f, err := groupcommit.Open(groupcommit.Config{Path: cfg.Path, Limit: cfg.Limit, Queue: cfg.Queue, Batch: cfg.Batch,
		Lock: cfg.Lock, Name: "boltstate", Buckets: []string{jobsBucket}, Closed: ErrClosed, Broken: ErrBroken})
	if err != nil {
		return nil, err
	}
	return &State{file: f}, nil
}

// Close waits for the transaction that is being written, refuses what waits
// behind it, and closes the file. Calls after it get ErrClosed.
func (s *State) Close() error { return s.file.Close() }

// Stats returns the counts. They are read one after the other.
func (s *State) Stats() Stats { return Stats(s.file.Stats()) }

// Load implements sched.State.
func (s *State) Load(ctx context.Context, job string) (m sched.Mark, err error) {
	err = s.file.View(ctx, func(tx *bbolt.Tx) error {
		m, err = read(tx, job)
		return err
	})
	return m, err
}

// Note implements sched.State.
func (s *State) Note(ctx context.Context, job string, at sched.Instant) (m sched.Mark, err error) {
	return s.change(ctx, job, func(t *groupcommit.Turn, old sched.Mark) (m sched.Mark, refused, disk error) {
		if old.Instant != 0 {
			return old, nil, nil
		}
		m, refused, disk = s.begin(t, old, at)
		if m.Ended = true; refused == nil && disk == nil {
			disk = write(t, m)
		}
		return m, refused, disk
	})
}

// Begin implements sched.State. Fences are counted for all jobs of the file
// together, and so rise for each.
func (s *State) Begin(ctx context.Context, job string, at sched.Instant) (m sched.Mark, err error) {
	return s.change(ctx, job, func(t *groupcommit.Turn, old sched.Mark) (m sched.Mark, refused, disk error) {
		if m, refused, disk = s.begin(t, old, at); refused == nil && disk == nil {
			disk = write(t, m)
		}
		return m, refused, disk
	})
}

// change has the writer change what is known about a job.
func (s *State) change(ctx context.Context, job string, apply func(*groupcommit.Turn, sched.Mark) (m sched.Mark, refused, disk error)) (m sched.Mark, err error) {
	if len(job) > mostName {
		return sched.Mark{}, ErrName
	}
	err = s.file.Do(ctx, func(t *groupcommit.Turn) (refused, disk error) {
		old, err := read(t.Tx, job)
		if err != nil {
			return err, nil
		}
		m, refused, disk = apply(t, old)
		return refused, disk
	})
	if err != nil {
		return sched.Mark{}, err // of the writer's m nothing is known
	}
	return m, nil
}

// begin is the mark of a run that may follow old.
func (s *State) begin(t *groupcommit.Turn, old sched.Mark, at sched.Instant) (m sched.Mark, refused, disk error) {
	switch {
	case at == 0, old.Instant != 0 && at < old.Instant, at == old.Instant && old.Ended:
		return m, fmt.Errorf("%w: %q has begun %v", sched.ErrStale, old.Job, old.Instant), nil
	case old.Instant == 0 && t.Full():
		return m, fmt.Errorf("%w: %d jobs", ErrFull, s.file.Limit()), nil
	case old.Instant == 0:
		t.Records++
	}
	fence, disk := t.Bucket([]byte(jobsBucket)).NextSequence()
	return sched.Mark{Job: old.Job, Instant: at, Fence: fence}, nil, disk
}

// End implements sched.State.
func (s *State) End(ctx context.Context, m sched.Mark) error {
	return s.file.Do(ctx, func(t *groupcommit.Turn) (refused, disk error) {
		old, err := read(t.Tx, m.Job)
		switch {
		case err != nil:
			return err, nil
		case old.Instant == 0 || old.Instant != m.Instant || old.Fence != m.Fence:
			return fmt.Errorf("%w: %q has begun %v", sched.ErrStale, m.Job, old.Instant), nil
		case old.Ended:
			return nil, nil
		}
		old.Ended = true
		return nil, write(t, old)
	})
}

// Forget implements sched.State.
func (s *State) Forget(ctx context.Context, job string) error {
	return s.file.Do(ctx, func(t *groupcommit.Turn) (refused, disk error) {
		b := t.Bucket([]byte(jobsBucket))
		if b.Get(name(job)) == nil {
			return nil, nil
		}
		t.Records--
		t.Changes++
		return nil, b.Delete(name(job))
	})
}

func name(job string) []byte { return append([]byte{'j'}, job...) }

// A mark as it is written: its format, whether it has ended, instant and fence.
const (
	format = 1
	length = 2 + 8 + 8
)

func read(tx *bbolt.Tx, job string) (sched.Mark, error) {
	m := sched.Mark{Job: job}
	b := tx.Bucket([]byte(jobsBucket)).Get(name(job))
	if b == nil {
		return m, nil
	}
	if len(b) != length || b[0] != format || b[1] > 1 {
		return m, fmt.Errorf("%w: job %q", ErrFormat, job)
	}
	m.Ended = b[1] == 1
	m.Instant = sched.Instant(binary.BigEndian.Uint64(b[2:]))
	m.Fence = binary.BigEndian.Uint64(b[10:])
	return m, nil
}

func write(t *groupcommit.Turn, m sched.Mark) error {
	b := append(make([]byte, 0, length), format, 0)
	if m.Ended {
		b[1] = 1
	}
	b = binary.BigEndian.AppendUint64(b, uint64(m.Instant))
	b = binary.BigEndian.AppendUint64(b, m.Fence)
	t.Changes++
	return t.Bucket([]byte(jobsBucket)).Put(name(m.Job), b)
}
