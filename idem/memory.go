package idem

import (
	"bytes"
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"
)

// Memory is a Store that is gone with the process, for tests and for what need
// not outlive it. The zero value works. A Memory must not be copied.
type Memory struct {
	// Limit is how many records there may be. 0: 100,000. When all are in use
	// a claim of a new key is refused (ErrFull): to forget one early would be
	// to do something twice. Set before first use.
	Limit int

	mu      sync.Mutex
	records map[string]*kept
	ages    ages
	fence   uint64
	refused uint64
}

// kept is a record and its place in the order of expiry.
type kept struct {
	Record
	name  string
	index int
}

// Begin implements Store.
func (m *Memory) Begin(ctx context.Context, name string, c Claim) (Grant, error) {
	if err := ctx.Err(); err != nil {
		return Grant{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.expire(now)
	k := m.records[name]
	if k == nil {
		limit := m.Limit
		if limit == 0 {
			limit = 100_000
		}
		if len(m.records) >= limit {
			m.refused++
			return Grant{}, fmt.Errorf("%w: %d records", ErrFull, limit)
		}
		k = &kept{name: name}
	}
	m.fence++
	g, changed := k.Begin(now, m.fence, c)
	m.fence = max(m.fence, k.Fence)
	if changed {
		m.keep(k)
	}
	g.Step, g.Result = bytes.Clone(g.Step), bytes.Clone(g.Result)
	return g, nil
}

// Renew implements Store.
func (m *Memory) Renew(ctx context.Context, name string, h Hold, r Renewal) (Verdict, error) {
	return m.change(ctx, name, func(rec *Record, now time.Time) Verdict { return rec.Renew(now, h, r) })
}

// Finish implements Store.
func (m *Memory) Finish(ctx context.Context, name string, h Hold, f Final) (Verdict, error) {
	return m.change(ctx, name, func(rec *Record, now time.Time) Verdict { return rec.Finish(now, h, f) })
}

// Resolve implements Store.
func (m *Memory) Resolve(ctx context.Context, name string, version uint64, f Final) (Verdict, error) {
	return m.change(ctx, name, func(rec *Record, now time.Time) Verdict { return rec.Resolve(now, version, f) })
}

// Lookup implements Store.
func (m *Memory) Lookup(ctx context.Context, name string) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.records[name]
	if k == nil {
		return Record{}, nil
	}
	r := k.Record
	r.Forget(time.Now())
	r.Step, r.Result = bytes.Clone(r.Step), bytes.Clone(r.Result)
	return r, nil
}

// Len returns how many records there are.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records)
}

// Refused counts the claims that were refused with ErrFull.
func (m *Memory) Refused() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refused
}

func (m *Memory) change(ctx context.Context, name string, f func(*Record, time.Time) Verdict) (Verdict, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.records[name]
	if k == nil {
		// A record written anew may exceed Limit, by as many as there are
		// owners: what was done has to be kept.
		k = &kept{name: name}
	}
	v := f(&k.Record, time.Now())
	switch {
	case k.State == Absent:
		m.drop(k)
	case v == OK || v == Healed:
		m.keep(k)
	}
	return v, nil
}

// keep puts k where it belongs, or moves it when its expiry has changed.
func (m *Memory) keep(k *kept) {
	if m.records == nil {
		m.records = make(map[string]*kept)
	}
	if m.records[k.name] == k {
		heap.Fix(&m.ages, k.index)
		return
	}
	m.records[k.name] = k
	heap.Push(&m.ages, k)
}

func (m *Memory) drop(k *kept) {
	if m.records[k.name] == k {
		heap.Remove(&m.ages, k.index)
		delete(m.records, k.name)
	}
}

// expire drops a few of the records whose time has passed: each call adds one
// record at most, so that they do not pile up.
func (m *Memory) expire(now time.Time) {
	for range 4 {
		if len(m.ages) == 0 {
			return
		}
		k := m.ages[0]
		if k.Forget(now); k.State != Absent {
			return
		}
		m.drop(k)
	}
}

// ages is a heap of records, the one to expire first on top.
type ages []*kept

func (a ages) Len() int { return len(a) }

func (a ages) Less(i, j int) bool {
	x, y := a[i].over(), a[j].over()
	if x.IsZero() || y.IsZero() {
		return !x.IsZero()
	}
	return x.Before(y)
}

func (a ages) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index, a[j].index = i, j
}

func (a *ages) Push(x any) {
	k := x.(*kept)
	k.index = len(*a)
	*a = append(*a, k)
}

func (a *ages) Pop() any {
	last := len(*a) - 1
	k := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	return k
}

// over is when a record may be forgotten: retention, or the lease if that is
// longer. It is what Forget asks for.
func (k *kept) over() time.Time {
	if k.State == Running && k.Until.After(k.Expires) {
		return k.Until
	}
	return k.Expires
}
