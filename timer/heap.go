package timer

import "math"

// A Heap holds timers and fires them in the order of their instants; those of
// one instant in the order in which they were set. The zero value is ready.
// One goroutine owns it: every method, and every method of its timers, is
// called there. It is as large as the number of timers that are set asks for,
// and grows smaller again after a peak. There is room for 2^30 of them.
type Heap struct {
	entries []entry // a 4-ary heap: the children of i are 4i+1 to 4i+4
	gaps    int     // entries that were stopped and stay where they are
	levels  *levels // timers that are far, nil until there are some
	seq     uint64  // number of the last Set; does not come round in 64 bits

	// The instant of Advance. While it runs: the timers that came up and were
	// set in it. They stay out of the heap until it is over, for otherwise a
	// timer that sets itself to now would keep it from ending.
	now       Time
	advancing bool
	late      []entry
}

// Set arms t for the instant when, or moves it there if it is active. An
// instant that is past already fires in the next Advance; set from inside
// Fire that is not the Advance under way, but the one after it.
//
// Moving an active timer to a later instant is a note in the timer only: it
// keeps its place, and finds a new one when it comes up there. A deadline that
// each message pushes on costs a store a message. The note has room for 32 bits
// of order: a timer that was moved in this way takes its turn among equals as
// long as it comes up within 2^32 Sets of the heap. It panics when t has had no
// Init.
func (h *Heap) Set(t *Timer, when Time) { set(h, t, when, (*Heap).arm) }

// set is what of Set stands at the caller's. A call would cost more than the
// note does: each store that it makes, to save what the caller has in registers,
// is one fewer for the misses that overlap. It gets the rest as an argument,
// for the compiler reckons a call to a parameter as cheap enough to inline set.
func set(h *Heap, t *Timer, when Time, arm func(*Heap, *Timer, Time)) {
	if t.place == 0 || when < t.when {
		arm(h, t, when)
		return
	}
	h.seq++
	t.when, t.stamp = when, uint32(h.seq)
}

// arm is Set for a timer that is not active or moves to an earlier instant.
func (h *Heap) arm(t *Timer, when Time) {
	if t.firer == nil {
		panic("timer: Set before Init")
	}
	if t.place != 0 && when < h.placedFor(t) {
		h.Stop(t)
	}
	h.seq++
	t.when, t.stamp = when, uint32(h.seq)
	switch {
	case t.place != 0:
	case h.levels == nil && h.near() < few:
		h.push(entry{when: when, seq: h.seq, t: t})
	default:
		h.place(entry{when: when, seq: h.seq, t: t})
	}
}

// Stop disarms t and reports whether it was active. A timer that is due and
// stopped by another one's Fire in the same Advance does not fire. The heap may
// go on pointing to it, and so keep from the collector what it is embedded in:
// at most to as many as half of those that are set, and 1024.
func (h *Heap) Stop(t *Timer) bool { return stop(h, t, (*levels).take, (*Heap).leave) }

// stop is what of Stop stands at the caller's, see set.
func stop(h *Heap, t *Timer, far func(*levels, *Timer), near func(*Heap, *Timer)) bool {
	switch {
	case t.place == 0:
		return false
	case t.place >= inLevels:
		far(h.levels, t)
	default:
		near(h, t)
	}
	t.place = 0
	return true
}

// Next returns the earliest instant at which Advance may have something to do,
// and false when no timer is set. It is never after the first timer's instant.
// It may be before it, where that timer was moved to a later one or is far away
// still: Advance then fires nothing, and Next has moved on.
func (h *Heap) Next() (when Time, ok bool) {
	if h.gaps > 0 {
		h.bare()
	}
	when = h.first()
	for i := range h.late { // not empty only when called from inside Fire
		when = min(when, h.late[i].when)
	}
	return when, h.Len() > 0
}

// Len returns how many timers are set.
func (h *Heap) Len() int {
	n := h.near() + len(h.late)
	if h.levels != nil {
		n += h.levels.n
	}
	return n
}

// Advance fires each timer whose instant is now or before, and returns how
// many. A timer is out of the heap before its Fire is called: when Fire
// panics the heap is whole, the panic goes on to the caller, and the next
// Advance fires the rest. Called from inside Fire it does nothing.
func (h *Heap) Advance(now Time) (fired int) { return h.advance(now, math.MaxInt) }

// advance fires no more than so many, those that come first. If it is as many,
// there may be more.
func (h *Heap) advance(now Time, most int) (fired int) {
	if h.advancing {
		return 0
	}
	h.now = min(now, Never-1) // what is set to Never does not fire
	if h.gaps > 0 {
		h.bare()
	}
	if h.first() <= h.now {
		fired = h.fire(now, most)
	}
	if l := h.levels; l != nil && (h.now > l.base || l.mask == 0) && l.next > h.now {
		l.base = max(h.now, 0)
	}
	return fired
}

// near returns how many timers are in the exact order.
func (h *Heap) near() int { return len(h.entries) - h.gaps }

// first returns the instant of the first entry or bucket.
func (h *Heap) first() Time {
	when := Never
	if h.levels != nil {
		when = h.levels.next
	}
	if len(h.entries) > 0 {
		when = min(when, h.entries[0].when)
	}
	return when
}

func (h *Heap) fire(now Time, most int) (fired int) {
	h.advancing = true
	defer h.settle()
	began := h.seq
	for fired < most {
		// A bucket goes before an entry of the instant at which it begins: it
		// may hold one for that instant which was set earlier.
		if l := h.levels; l != nil && l.next <= h.now && l.next == h.first() {
			h.open()
			continue
		}
		if len(h.entries) == 0 || h.entries[0].when > h.now {
			return fired
		}
		e := h.entries[0]
		if e.t == nil {
			h.bare()
			continue
		}
		if e.moved() {
			h.again(e)
			continue
		}
		h.pop()
		if e.seq > began { // set by a Fire of this Advance
			h.late = append(h.late, e)
			e.t.place = -int32(len(h.late))
			continue
		}
		e.t.place = 0
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
	h.tidy()
}

// placedFor returns the instant before which a timer that is set does not come
// up.
func (h *Heap) placedFor(t *Timer) Time {
	switch {
	case t.place >= inLevels:
		return h.levels.placedFor(t)
	case t.place > 0:
		return h.entries[t.place-1].when
	}
	return h.late[-t.place-1].when
}

// takeLate removes from the unsorted list: the last one takes the free place.
func (h *Heap) takeLate(t *Timer) {
	i, last := int(-t.place-1), len(h.late)-1
	e := h.late[last]
	h.late[i] = e
	e.t.place = -int32(i + 1)
	h.late[last] = entry{}
	h.late = h.late[:last]
}
