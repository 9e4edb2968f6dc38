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

// own returns the entry of a timer that is in the heap.
func (h *Heap) own(t *Timer) *entry {
	i := int(t.place - 1)
	if i >= len(h.entries) || h.entries[i].t != t {
		panic(notOurs)
	}
	return &h.entries[i]
}

// push adds an entry with an order of its own.
func (h *Heap) push(e entry) {
	h.entries = append(h.entries, entry{})
	h.up(len(h.entries)-1, e)
}

// take removes the timer from wherever it stands.
func (h *Heap) take(t *Timer) {
	if t.place < 0 || t.place >= inLevels {
		h.takeElsewhere(t)
		return
	}
	h.own(t)
	i, last := int(t.place-1), len(h.entries)-1
	t.place = 0
	e := h.entries[last]
	h.entries[last] = entry{} // hold no timer that is gone
	h.entries = h.entries[:last]
	switch {
	case i == last:
	case i > 0 && e.before(&h.entries[(i-1)/4]):
		h.up(i, e)
	default:
		h.down(i, e)
	}
}

// up puts e at the free place i or, as long as it comes before the parent,
// above it.
func (h *Heap) up(i int, e entry) {
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&h.entries[parent]) {
			break
		}
		h.put(i, h.entries[parent])
		i = parent
	}
	h.put(i, e)
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
		if !s[first].before(&e) {
			break
		}
		h.put(i, s[first])
		i = first
	}
	h.put(i, e)
}

func (h *Heap) put(i int, e entry) {
	h.entries[i] = e
	e.t.place = int32(i + 1)
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
