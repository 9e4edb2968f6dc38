package timer

// place finds a place for a timer: a level if it is far, or else the heap.
func (h *Heap) place(e entry) {
	if h.levels == nil {
		h.levels = newLevels(h.now)
	}
	if l := h.levels; h.near()+l.n >= l.few {
		if b := l.bucket(e.when); b >= 0 {
			l.put(b, e)
			return
		}
	}
	h.push(e)
}

// open empties the first bucket in use into lower levels and the heap. Base is
// where the bucket begins then, so that none of its timers comes back to it.
func (h *Heap) open() {
	l := h.levels
	b, end := l.first, l.end(l.first)
	straight := l.atMost(l.direct, b)
	l.base = l.next
	var es [runSlots]entry
	for at := l.detach(b); at != 0; {
		var n int
		n, at = l.drain(at, &es)
		for _, e := range es[:n] {
			if stamp := e.t.stamp; stamp != uint32(e.seq) { // it was set again
				e.seq = h.number(stamp)
			}
			if straight && e.when < end {
				h.push(e)
			} else {
				h.place(e)
			}
		}
	}
	l.shrink()
}

// again finds the place for the first timer of the heap, which was set again
// to a later instant since it was placed.
func (h *Heap) again(e entry) {
	e.when, e.seq = e.t.when, h.number(e.t.stamp)
	if l := h.levels; l != nil && h.near()+l.n >= l.few {
		if b := l.bucket(e.when); b >= 0 {
			l.put(b, e)
			h.pop()
			return
		}
	}
	h.down(0, e)
}
