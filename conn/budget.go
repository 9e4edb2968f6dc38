package conn

import "sync/atomic"

// budget counts a runtime's bytes of storage in buffers against a limit.
type budget struct {
	limit   int64
	used    atomic.Int64
	refused atomic.Uint64
}

// take asks for n bytes; all or nothing.
func (b *budget) take(n int) bool {
	if n == 0 {
		return true
	}
	if b.used.Add(int64(n)) > b.limit {
		b.used.Add(-int64(n))
		b.refused.Add(1)
		return false
	}
	return true
}

// force takes n bytes whatever the limit is, for bytes that exist already.
func (b *budget) force(n int) { b.used.Add(int64(n)) }

// over reports whether more is taken than there is, and counts it as a refusal.
func (b *budget) over() bool {
	if b.used.Load() <= b.limit {
		return false
	}
	b.refused.Add(1)
	return true
}

// give returns n bytes.
func (b *budget) give(n int) {
	if n != 0 {
		b.used.Add(-int64(n))
	}
}
