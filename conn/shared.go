package conn

import "sync/atomic"

// Shared is bytes that many connections send without copying them: made once,
// counted, freed after the last has sent or dropped them. The bytes count
// against the byte budget of the first runtime that queues them, once however
// many connections they wait in.
type Shared struct {
	p      []byte
	free   func()
	refs   atomic.Int32
	budget atomic.Pointer[budget] // that the bytes were taken from, nil while nothing queues them
}

// NewShared makes a Shared of p with one reference, the caller's. p must not
// change until free is called, once, on whatever goroutine released the last
// reference, with a connection locked: it must not block, nor call a
// connection's methods. free may be nil.
func NewShared(p []byte, free func()) *Shared {
	s := &Shared{p: p, free: free}
	s.refs.Store(1)
	return s
}

// Bytes returns the bytes, to be read only.
func (s *Shared) Bytes() []byte { return s.p }

// Retain adds a reference. The caller must hold one.
func (s *Shared) Retain() { s.refs.Add(1) }

// Release gives one reference back; the last one frees the bytes. A reference
// too many given back panics: somebody would send bytes that are gone.
func (s *Shared) Release() {
	switch n := s.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("conn: Shared released too often")
	}
	if b := s.budget.Load(); b != nil {
		b.give(len(s.p))
	}
	if s.free != nil {
		s.free()
	}
}

// charge takes the bytes from b unless they are paid for already; force takes
// them whatever the limit is.
func (s *Shared) charge(b *budget, force bool) bool {
	if s.budget.Load() != nil {
		return true
	}
	if force {
		b.force(len(s.p))
	} else if !b.take(len(s.p)) {
		return false
	}
	if !s.budget.CompareAndSwap(nil, b) {
		b.give(len(s.p))
	}
	return true
}
