package sched

import (
	"context"
	"fmt"
	"sync"
)

// MemoryGuard is a Guard between Schedulers of one process, for tests and for
// programs that have several. The zero value works. It must not be copied.
type MemoryGuard struct {
	// Limit is how many runs that are over it remembers; beyond that it forgets
	// the oldest. 0: 100,000. Set before first use.
	Limit int

	mu    sync.Mutex
	fence uint64         // of all jobs: higher than before is all that counts
	runs  map[Key]uint64 // fence of who holds it, 0 when it is over
	ran   []Key          // in a ring
	next  int
}

// Hold implements Guard. What is held by who does not end it is held for ever.
func (m *MemoryGuard) Hold(ctx context.Context, k Key, _ func(error)) (Held, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.runs[k]; there {
		return nil, fmt.Errorf("%w: %v", ErrTaken, k)
	}
	if m.runs == nil {
		m.runs = make(map[Key]uint64)
	}
	m.fence++
	m.runs[k] = m.fence
	return &memoryHold{m, k, m.fence}, nil
}

// memoryHold is a hold of a MemoryGuard.
type memoryHold struct {
	guard *MemoryGuard
	key   Key
	fence uint64
}

// Fence implements Held.
func (h *memoryHold) Fence() uint64 { return h.fence }

// End implements Held. It does not wait, so that it looks at no context.
func (h *memoryHold) End(_ context.Context, ran bool) error {
	m := h.guard
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs[h.key] != h.fence {
		return fmt.Errorf("%w: %v", ErrLost, h.key)
	}
	if !ran {
		delete(m.runs, h.key)
		return nil
	}
	m.runs[h.key] = 0
	if len(m.ran) < or(m.Limit, 100_000) {
		m.ran = append(m.ran, h.key)
		return nil
	}
	delete(m.runs, m.ran[m.next])
	m.ran[m.next] = h.key
	m.next = (m.next + 1) % len(m.ran)
	return nil
}

// MemoryState is a State that is gone with the process, for tests. The zero value
// works. It must not be copied.
type MemoryState struct {
	// Limit is how many jobs there may be: ErrFull. 0: 100,000. Set before first
	// use.
	Limit int

	mu    sync.Mutex
	fence uint64 // of all jobs
	marks map[string]Mark
}

// Load implements State.
func (m *MemoryState) Load(ctx context.Context, job string) (Mark, error) {
	if err := context.Cause(ctx); err != nil {
		return Mark{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if mark, there := m.marks[job]; there {
		return mark, nil
	}
	return Mark{Job: job}, nil
}

// Note implements State.
func (m *MemoryState) Note(ctx context.Context, job string, at Instant) (Mark, error) {
	if err := context.Cause(ctx); err != nil {
		return Mark{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if mark, there := m.marks[job]; there {
		return mark, nil
	}
	mark, err := m.begin(job, at)
	if err == nil {
		mark.Ended = true
		m.marks[job] = mark
	}
	return mark, err
}

// Begin implements State.
func (m *MemoryState) Begin(ctx context.Context, job string, at Instant) (Mark, error) {
	if err := context.Cause(ctx); err != nil {
		return Mark{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.begin(job, at)
}

// begin is Begin. Locked.
func (m *MemoryState) begin(job string, at Instant) (Mark, error) {
	mark, there := m.marks[job]
	switch {
	case at == 0 || there && (at < mark.Instant || at == mark.Instant && mark.Ended):
		return Mark{}, fmt.Errorf("%w: %q began %v", ErrStale, job, mark.Instant)
	case !there && len(m.marks) >= or(m.Limit, 100_000):
		return Mark{}, fmt.Errorf("%w: state of %d jobs", ErrFull, len(m.marks))
	case m.marks == nil:
		m.marks = make(map[string]Mark)
	}
	m.fence++
	mark = Mark{Job: job, Instant: at, Fence: m.fence}
	m.marks[job] = mark
	return mark, nil
}

// End implements State.
func (m *MemoryState) End(ctx context.Context, mark Mark) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now, there := m.marks[mark.Job]
	if !there || now.Fence != mark.Fence || now.Instant != mark.Instant {
		return fmt.Errorf("%w: %q is at %v", ErrStale, mark.Job, now.Instant)
	}
	now.Ended = true
	m.marks[mark.Job] = now
	return nil
}

// Forget implements State.
func (m *MemoryState) Forget(ctx context.Context, job string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.marks, job)
	return nil
}
