package timer

// A Heap holds timers and fires them in the order of their instants; those of
// one instant in the order in which they were set. The zero value is ready.
// One goroutine owns it: every method, and every method of its timers, is
// called there. It holds no more than the timers that are set, takes back no
// memory of theirs, and gives its own back as they go.
type Heap struct {
	entries []entry // a 4-ary heap: the children of i are 4i+1 to 4i+4
	seq     uint64  // number of the last Set; 64 bits do not come round again

	// While Advance runs: its instant, and the timers set to it or to an
	// earlier one meanwhile. They stay out of the heap until it is over, for
	// otherwise a timer that sets itself to now would keep it from ending.
	advancing bool
	now       Time
	late      []entry
}

// An entry is a timer's place in the heap. The keys stand here rather than in
// the Timer, so that a comparison touches no other cache line.
type entry struct {
	when Time   // key: instant it was placed for, at or before timer.when
	seq  uint64 // key among equals: the Set that placed it
	last uint64 // the last Set; not seq: the timer was moved and is to be placed anew
	t    *Timer
}

func (e *entry) before(f *entry) bool {
	return e.when < f.when || e.when == f.when && e.seq < f.seq
}

// Set arms t for the instant when, or moves it there if it is active. An
// instant that is past already fires in the next Advance; set from inside
// Fire that is not the Advance under way, but the one after it.
//
// Moving an active timer to a later instant is a note only: the timer keeps
// its place in the heap and finds a new one when it comes up there. A deadline
// that each message pushes on costs two stores a message. It panics when t has
// had no Init.
func (h *Heap) Set(t *Timer, when Time) {
	h.seq++
	toLate := h.advancing && when <= h.now
	if t.place > 0 && !toLate {
		if e := h.own(t); when >= e.when {
			t.when, e.last = when, h.seq
			return
		}
	}
	if t.firer == nil {
		panic("timer: Set before Init")
	}
	if t.place != 0 {
		h.take(t)
	}
	t.when = when
	e := entry{when: when, seq: h.seq, last: h.seq, t: t}
	if toLate {
		h.late = append(h.late, e)
		t.place = -int32(len(h.late))
		return
	}
	h.push(e)
}

// Stop disarms t and reports whether it was active. A timer that is due and
// stopped by another one's Fire in the same Advance does not fire.
func (h *Heap) Stop(t *Timer) bool {
	if t.place == 0 {
		return false
	}
	h.take(t)
	return true
}

// Next returns the earliest instant at which Advance may have something to do,
// and false when no timer is set. It is never after the first timer's instant.
// It may be before it, where that timer was moved to a later one: Advance then
// fires nothing, and Next has moved on.
func (h *Heap) Next() (when Time, ok bool) {
	when = Never
	if len(h.entries) > 0 {
		when = h.entries[0].when
	}
	for i := range h.late { // not empty only when called from inside Fire
		when = min(when, h.late[i].when)
	}
	return when, h.Len() > 0
}

// Len returns how many timers are set.
func (h *Heap) Len() int { return len(h.entries) + len(h.late) }

// Advance fires each timer whose instant is now or before, and returns how
// many. A timer is out of the heap before its Fire is called: when Fire
// panics the heap is whole, the panic goes on to the caller, and the next
// Advance fires the rest. Called from inside Fire it does nothing.
func (h *Heap) Advance(now Time) (fired int) {
	if h.advancing || len(h.entries) == 0 || h.entries[0].when > now {
		return 0
	}
	h.advancing, h.now = true, now
	defer h.settle()
	for len(h.entries) > 0 && h.entries[0].when <= now {
		e := h.entries[0]
		if e.seq != e.last {
			e.when, e.seq = e.t.when, e.last
			h.down(0, e)
			continue
		}
		h.take(e.t)
		fired++
		e.t.firer.Fire(now)
	}
	return fired
}

// settle ends an Advance, also one that a panic left.
func (h *Heap) settle() {
	h.advancing = false
	for _, e := range h.late {
		h.push(e)
	}
	clear(h.late)
	h.late = shrink(h.late[:0])
}

// own returns the entry of a timer that is in the heap.
func (h *Heap) own(t *Timer) *entry {
	e := &h.entries[t.place-1]
	if e.t != t {
		panic("timer: Timer copied while set, or set in another heap")
	}
	return e
}

// push adds an entry with an order of its own.
func (h *Heap) push(e entry) {
	h.entries = append(h.entries, entry{})
	h.up(len(h.entries)-1, e)
}

// take removes the timer from wherever it stands.
func (h *Heap) take(t *Timer) {
	if t.place < 0 {
		h.takeLate(t)
		return
	}
	h.own(t)
	i, last := int(t.place-1), len(h.entries)-1
	t.place = 0
	e := h.entries[last]
	h.entries[last] = entry{} // hold no timer that is gone
	h.entries = shrink(h.entries[:last])
	switch {
	case i == last:
	case i > 0 && e.before(&h.entries[(i-1)/4]):
		h.up(i, e)
	default:
		h.down(i, e)
	}
}

// takeLate removes from the unsorted list: the last one takes the free place.
func (h *Heap) takeLate(t *Timer) {
	i, last := int(-t.place-1), len(h.late)-1
	e := h.late[last]
	h.late[i] = e
	e.t.place = -int32(i + 1)
	h.late[last] = entry{}
	h.late = h.late[:last]
	t.place = 0
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
	for {
		first := 4*i + 1
		if first >= len(h.entries) {
			break
		}
		for c, end := first+1, min(first+4, len(h.entries)); c < end; c++ {
			if h.entries[c].before(&h.entries[first]) {
				first = c
			}
		}
		if !h.entries[first].before(&e) {
			break
		}
		h.put(i, h.entries[first])
		i = first
	}
	h.put(i, e)
}

func (h *Heap) put(i int, e entry) {
	h.entries[i] = e
	e.t.place = int32(i + 1)
}

// keep is the capacity that is never given back.
const keep = 64

// shrink moves s to an array of half the size when three quarters of its own
// are free. Between that and the next growth lie as many operations as there
// are entries, so the copies cost a constant each.
func shrink(s []entry) []entry {
	if cap(s) <= keep || len(s) > cap(s)/4 {
		return s
	}
	return append(make([]entry, 0, cap(s)/2), s...)
}
