package timer

// The exact order: a 4-ary heap in one array.

// An entry is a timer's place in the heap. The keys stand here rather than in
// the Timer, so that a comparison touches no other cache line.
type entry struct {
	when Time   // key: the instant it was placed for, t.when or before
	seq  uint64 // key among equals: the number of the Set it was placed for
	t    *Timer
}

// moved reports whether the timer was set again since it was placed.
func (e *entry) moved() bool {
	return e.when != e.t.when || uint32(e.seq) != e.t.stamp
}

func (e *entry) before(f *entry) bool {
	return e.when < f.when || e.when == f.when && e.seq < f.seq
}

// push adds an entry with an order of its own: at the end or, as long as it comes
// before the parent, above it.
func (h *Heap) push(e entry) {
	if len(h.entries) == cap(h.entries) && h.gaps > len(h.entries)/4 {
		h.sweep() // rather than grow
	}
	h.entries = append(h.entries, e)
	s, i := h.entries, len(h.entries)-1
	for i > 0 {
		parent := int(uint(i-1) / 4)
		p := s[parent]
		if !e.before(&p) {
			break
		}
		put(s, i, p)
		i = parent
	}
	put(s, i, e)
}

// leave removes a timer that is stopped. Its entry stays, as a gap without a
// timer, until it comes up or is swept away with others: to fill it, others would
// have to be moved. At the end it costs nothing to fill it, and what is set and
// stopped at once leaves nothing.
func (h *Heap) leave(t *Timer) {
	if t.place < 0 {
		h.takeLate(t)
		return
	}
	i, last := int(t.place-1), len(h.entries)-1
	if i > last || h.entries[i].t != t {
		panic(notOurs)
	}
	h.entries[i].t = nil
	h.gaps++
	if i == last || h.gaps > 3*h.near()+spare {
		h.trim()
	}
}

// pop removes the first entry. What is first then may be a gap: see bare.
func (h *Heap) pop() {
	last := len(h.entries) - 1
	e := h.entries[last]
	h.entries[last] = entry{} // hold no timer that is gone
	h.entries = h.entries[:last]
	if last > 0 {
		h.down(0, e)
	}
}

// bare removes gaps until there is none in front. Next and Advance do so, not
// Stop: after many stops it takes one sweep for all.
func (h *Heap) bare() {
	for n := 0; h.gaps > 0 && h.entries[0].t == nil; n++ {
		if n >= 4 && h.gaps > len(h.entries)/4 {
			h.sweep()
			return
		}
		h.gaps--
		h.pop()
	}
}

// trim removes the gaps at the end.
func (h *Heap) trim() {
	n := len(h.entries)
	for ; h.gaps > 0 && h.entries[n-1].t == nil; n-- {
		h.gaps--
	}
	h.entries = h.entries[:n]
	h.tidy()
}

// spare is how many gaps are not worth a sweep.
const spare = 64

// tidy gives back room that is not needed. When half of the entries are gaps it
// takes them out: for each that it moves there was a Stop that did not.
func (h *Heap) tidy() {
	if h.gaps > h.near()+spare {
		h.sweep()
	}
	h.entries = shrink(h.entries)
}

func (h *Heap) sweep() {
	s, n := h.entries, 0
	for _, e := range s {
		s[n] = e
		if e.t != nil { // half of them are, and so this is no branch
			n++
		}
	}
	clear(s[n:])
	s = s[:n]
	h.entries, h.gaps = s, 0
	for i := range s {
		s[i].t.place = int32(i + 1)
	}
	for i := n - 1; i > 0; i-- { // most are in order still
		if parent := (i - 1) / 4; s[i].before(&s[parent]) {
			h.down(parent, s[parent])
		}
	}
}

// down puts e at the free place i or, as long as a child comes before it,
// below the first of its children.
func (h *Heap) down(i int, e entry) {
	s := h.entries
	for {
		first := 4*i + 1
		if first >= len(s) {
			break
		}
		for c, end := first+1, min(first+4, len(s)); c < end; c++ {
			if s[c].before(&s[first]) {
				first = c
			}
		}
		p := s[first]
		if !p.before(&e) {
			break
		}
		put(s, i, p)
		i = first
	}
	put(s, i, e)
}

// put stores an entry, which may be a gap.
func put(s []entry, i int, e entry) {
	s[i] = e
	if e.t != nil {
		e.t.place = int32(i + 1)
	}
}

// keep is the capacity that is never given back.
const keep = 1024

// shrink moves s to a smaller array when three quarters of its own are free,
// and leaves room to grow to twice its length: between two moves lie as many
// operations as entries are moved.
func shrink(s []entry) []entry {
	if cap(s) <= keep || len(s) > cap(s)/4 {
		return s
	}
	return append(make([]entry, 0, max(keep, 2*len(s))), s...)
}
