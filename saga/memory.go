package saga

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
)

// Memory is a Log that is gone with the process, for tests. The zero value
// works. A Memory must not be copied.
type Memory struct {
	Limit int // records. 0: 100,000. Set before first use

	mu      sync.Mutex
	records map[string]Record
}

// Create implements Log.
func (m *Memory) Create(ctx context.Context, r *Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, there := m.records[r.ID]; there {
		return fmt.Errorf("%w: %q", ErrExists, r.ID)
	}
	if len(m.records) >= or(m.Limit, 100_000) {
		return fmt.Errorf("%w: %d records", ErrFull, len(m.records))
	}
	if m.records == nil {
		m.records = make(map[string]Record)
	}
	m.records[r.ID] = r.Clone()
	return nil
}

// Write implements Log.
func (m *Memory) Write(ctx context.Context, r *Record, version, fence uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	old, there := m.records[r.ID]
	switch {
	case !there:
		return fmt.Errorf("%w: %q", ErrNotFound, r.ID)
	case old.Version != version || old.Fence != fence:
		return fmt.Errorf("%w: %q", ErrConflict, r.ID)
	}
	m.records[r.ID] = r.Clone()
	return nil
}

// Load implements Log.
func (m *Memory) Load(ctx context.Context, id string) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, there := m.records[id]
	if !there {
		return Record{}, fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	return r.Clone(), ctx.Err()
}

// Open implements Log.
func (m *Memory) Open(ctx context.Context, above string, n int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for id, r := range m.records {
		if id > above && !r.State.Ended() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids[:min(max(n, 0), len(ids))], ctx.Err()
}

// Forget implements Log.
func (m *Memory) Forget(ctx context.Context, before int64, n int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var old []Record
	for _, r := range m.records {
		if r.State.Ended() && r.Ended.UnixNano() < before {
			old = append(old, r)
		}
	}
	slices.SortFunc(old, func(a, b Record) int {
		return cmp.Or(a.Ended.Compare(b.Ended), cmp.Compare(a.ID, b.ID))
	})
	old = old[:min(max(n, 0), len(old))]
	for _, r := range old {
		delete(m.records, r.ID)
	}
	return len(old), ctx.Err()
}
