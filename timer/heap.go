package timer

// A Heap holds timers and fires them in the order of their instants; those of
// one instant in the order in which they were set. The zero value is ready.
// One goroutine owns it: every method, and every method of its timers, is
// called there. It is as large as the number of timers that are set asks for,
// and grows smaller again after a peak.
type Heap struct {
	entries []entry // a 4-ary heap: the children of i are 4i+1 to 4i+4
	seq     uint64  // number of the last Set; does not come round in 64 bits

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

// Set arms t for the instant when, or moves it there if it is active. An
// instant that is past already fires in the next Advance; set from inside
// Fire that is not the Advance under way, but the one after it.
//
// Moving an active timer to a later instant is a note in the timer only: it
// keeps its place in the heap, and finds a new one when it comes up there. A
// deadline that each message pushes on costs a store a message. The note has
// room for 32 bits of order: a timer that was moved in this way takes its turn
// among equals as long as it comes up within 2^32 Sets of the heap. It panics
// when t has had no Init.
func (h *Heap) Set(t *Timer, when Time) {
	h.seq++
	toLate := h.advancing && when <= h.now
	if t.place > 0 && !toLate {
		if when >= t.when || when >= h.own(t).when {
			t.when, t.stamp = when, uint32(h.seq)
			return
		}
	}
	if t.firer == nil {
		panic("timer: Set before Init")
	}
	if t.place != 0 {
		h.take(t)
	}
	t.when, t.stamp = when, uint32(h.seq)
	e := entry{when: when, seq: h.seq, t: t}
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
	h.entries = shrink(h.entries)
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
	return h.fire(now)
}

func (h *Heap) fire(now Time) (fired int) {
	h.advancing, h.now = true, now
	defer h.settle()
	for len(h.entries) > 0 && h.entries[0].when <= now {
		e := h.entries[0]
		if e.moved() {
			e.when, e.seq = e.t.when, h.number(e.t.stamp)
			h.down(0, e)
			continue
		}
		h.take(e.t)
		fired++
		e.t.firer.Fire(now)
	}
	return fired
}

// number returns the last Set whose number ends in these 32 bits.
func (h *Heap) number(stamp uint32) uint64 {
	return h.seq - uint64(uint32(h.seq)-stamp)
}

// settle ends an Advance, also one that a panic left.
func (h *Heap) settle() {
	h.advancing = false
	for _, e := range h.late {
		h.push(e)
	}
	clear(h.late)
	h.late = shrink(h.late[:0])
	h.entries = shrink(h.entries)
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
	h.entries = h.entries[:last]
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
