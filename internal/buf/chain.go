package buf

import "unsafe"

// Chain is a queue of bytes in segments. The zero value is empty.
type Chain struct {
	segs []segment
	head int // segs[head:] are queued
	size int // bytes queued
	held int // storage owned, in bytes
}

// segment is a run of queued bytes: in storage of our own (base set) or in
// bytes that somebody else keeps until we Release them.
type segment struct {
	b    []byte
	base *byte // start of pooled storage; b may have been cut at its front
	size int   // of that storage
	ref  Ref
}

// Ref keeps the bytes of a segment alive that the Chain does not own. Release
// is called once for each segment, when its bytes have been sent or dropped.
type Ref interface{ Release() }

// segmentMin is the storage taken for a small write, so that the next ones
// find room behind it.
const segmentMin = 4 << 10

// segsKept is the longest list of segments that an empty Chain keeps.
const segsKept = 16

// Len returns the number of queued bytes.
func (c *Chain) Len() int { return c.size }

// Held returns the bytes of storage in use, for budgets; shared bytes are not
// counted.
func (c *Chain) Held() int { return c.held }

// Grow returns by how much Held would grow if n bytes were appended.
func (c *Chain) Grow(n int) (held int) {
	n -= c.spare()
	for n > 0 {
		size := 1 << classOf(max(n, segmentMin))
		held += size
		n -= size
	}
	return held
}

// Append copies p to the end of the queue.
func (c *Chain) Append(p []byte) {
	c.size += len(p)
	if n := min(c.spare(), len(p)); n > 0 {
		last := &c.segs[len(c.segs)-1]
		last.b = append(last.b, p[:n]...)
		p = p[n:]
	}
	for len(p) > 0 {
		store := Get(max(len(p), segmentMin))
		n := copy(store, p)
		c.held += len(store)
		c.push(segment{b: store[:n], base: unsafe.SliceData(store), size: len(store)})
		p = p[n:]
	}
}

// AppendRef queues b without copying it. b must not change until ref is
// released.
func (c *Chain) AppendRef(b []byte, ref Ref) {
	c.size += len(b)
	c.push(segment{b: b, ref: ref})
}

// Run returns the i-th queued run of bytes, nil past the last. It is valid
// until the next call on c.
func (c *Chain) Run(i int) []byte {
	if i += c.head; i < len(c.segs) {
		return c.segs[i].b
	}
	return nil
}

// Advance drops the first n queued bytes, which have been sent.
func (c *Chain) Advance(n int) {
	c.size -= n
	for n > 0 || c.head < len(c.segs) && len(c.segs[c.head].b) == 0 {
		s := &c.segs[c.head]
		if n < len(s.b) {
			s.b = s.b[n:]
			return
		}
		n -= len(s.b)
		c.free(s)
		c.head++
	}
	if c.head == len(c.segs) {
		c.segs, c.head = c.segs[:0], 0
	}
}

// Release drops everything and gives all storage back. The list of segments is
// kept for the next queue, unless it was a long one.
func (c *Chain) Release() {
	for i := c.head; i < len(c.segs); i++ {
		c.free(&c.segs[i])
	}
	segs := c.segs[:0]
	if cap(segs) > segsKept {
		segs = nil
	}
	*c = Chain{segs: segs}
}

// spare is the room behind the last segment's bytes.
func (c *Chain) spare() int {
	if len(c.segs) == c.head {
		return 0
	}
	last := &c.segs[len(c.segs)-1]
	if last.base == nil {
		return 0
	}
	return cap(last.b) - len(last.b)
}

func (c *Chain) push(s segment) {
	// A queue that never runs empty must not grow at its dead front.
	if c.head > 16 && c.head > len(c.segs)/2 {
		n := copy(c.segs, c.segs[c.head:])
		clear(c.segs[n:])
		c.segs, c.head = c.segs[:n], 0
	}
	c.segs = append(c.segs, s)
}

func (c *Chain) free(s *segment) {
	switch {
	case s.base != nil:
		c.held -= s.size
		Put(unsafe.Slice(s.base, s.size))
	case s.ref != nil:
		s.ref.Release()
	}
	*s = segment{}
}
