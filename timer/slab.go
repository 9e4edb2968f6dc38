package timer

import "math/bits"

// The storage of the levels: runs of 16 slots, in pages, so that it grows
// without a copy. A bucket is a ring of runs, the newest first. A bit for each
// slot says which are taken.
//
//	bucket      run 7            run 2            run 5
//	┌──────┐   ┌─────────────┐  ┌─────────────┐  ┌─────────────┐
//	│    7 ├──►│ t t . t     ├─►│ . t t t . t ├─►│ t t . t t t ├─► run 7
//	└──────┘   └─────────────┘  └─────────────┘  └─────────────┘
//
// So a timer that is stopped is out at the cost of its own bit: it leaves a gap,
// and the last one of a run gives the run back. In a list of single timers both
// neighbours would have to be touched, and in an array the one that fills the
// gap: in a million timers each of them is a cache miss. So is its own slot,
// which therefore still points to it, until many do and all are swept in one go.
const (
	runBits  = 4 // 16 slots, four cache lines
	runSlots = 1 << runBits
	pageBits = 7 // 128 runs, 32 kB
	pageRuns = 1 << pageBits
)

// A slot is a timer's place in a level. The instant is in the timer, which has
// to be touched anyway when it goes on from here.
type slot struct {
	seq uint64 // number of the Set that it was placed for
	t   *Timer
}

type page [pageRuns * runSlots]slot

// A slab hands out runs. Run 0 is none.
type slab struct {
	pages []*page
	runs  []run    // by number
	taken []uint16 // likewise: a bit for each slot of a run
	free  int32    // list of runs, by next
}

// A run's slots are in its page; this is what is to know about them. The bits are
// not with it: they are all that a Stop looks at, and by themselves those of a
// million timers stay in a core's cache.
type run struct {
	next, prev int32
	bucket     uint16
}

// at returns the slot with this number: sixteen times that of its run, and its
// place in there.
func (s *slab) at(i int32) *slot {
	return &s.pages[uint32(i)>>(runBits+pageBits)][i&(pageRuns*runSlots-1)]
}

// extend takes a free run for the bucket, as its first.
func (l *levels) extend(b int) int32 {
	if l.buckets[b] == 0 {
		l.use(b)
	}
	if l.free == 0 {
		l.grow()
	}
	r := l.free
	l.free = l.runs[r].next
	l.runs[r].bucket = uint16(b)
	l.link(b, r)
	return r
}

// grow adds a page.
func (s *slab) grow() {
	first := len(s.runs)
	s.pages = append(s.pages, new(page))
	s.runs = append(s.runs, make([]run, pageRuns)...)
	s.taken = append(s.taken, make([]uint16, pageRuns)...)
	for r := len(s.runs) - 1; r >= max(first, 1); r-- {
		s.runs[r].next, s.free = s.free, int32(r)
	}
	s.taken[0] = 1<<runSlots - 1
}

// release gives back a run, with slots that hold nothing.
func (s *slab) release(r int32) {
	clear(s.slots(r))
	s.runs[r], s.taken[r] = run{next: s.free}, 0
	s.free = r
}

// slots returns those of a run.
func (s *slab) slots(r int32) []slot {
	i := r << runBits & (pageRuns*runSlots - 1)
	return s.pages[uint32(r)>>pageBits][i : i+runSlots]
}

// link makes a run the first of the ring.
func (l *levels) link(b int, r int32) {
	next, prev := l.buckets[b], r
	if next == 0 {
		next = r
	} else {
		prev = l.runs[next].prev
	}
	l.runs[r].next, l.runs[r].prev = next, prev
	l.runs[prev].next, l.runs[next].prev = r, r
	l.buckets[b] = r
}

// withdraw takes an empty run out of the ring.
func (l *levels) withdraw(at int32) {
	r := &l.runs[at]
	b := int(r.bucket)
	l.runs[r.prev].next, l.runs[r.next].prev = r.next, r.prev
	switch {
	case r.next == at:
		l.buckets[b] = 0
		l.unuse(b)
	case l.buckets[b] == at:
		l.buckets[b] = r.next
	}
	l.release(at)
}

// put adds a timer to a bucket.
func (l *levels) put(b int, e entry) {
	at := l.buckets[b]
	if l.taken[at]>>(runSlots-1) != 0 { // run 0, which is none, is full
		at = l.extend(b)
	}
	taken := &l.taken[at]
	i := bits.Len16(*taken)
	*taken |= 1 << i
	e.t.place = inLevels | at<<runBits | int32(i)
	*l.at(at<<runBits | int32(i)) = slot{seq: e.seq, t: e.t}
	l.n++
}

// take removes a timer. Its slot still points to it.
func (l *levels) take(t *Timer) {
	i, taken := l.own(t)
	*taken &^= 1 << (i % runSlots)
	l.n--
	if *taken == 0 {
		l.withdraw(i >> runBits)
	}
	swept := l.gone >= l.n/2+keep
	if l.gone++; swept {
		l.sweep()
	}
	if swept || l.n%runSlots == 0 {
		l.shrink()
	}
}

// sweep lets go of the timers that were stopped. It goes through all slots in
// order, once for so many stops as there are timers for two.
func (l *levels) sweep() {
	l.gone = 0
	for r, taken := range l.taken {
		gaps := ^taken
		if gaps == 0 || gaps == 1<<runSlots-1 { // full, or free
			continue
		}
		slots := l.slots(int32(r))
		for ; gaps != 0; gaps &= gaps - 1 {
			slots[bits.TrailingZeros16(gaps)].t = nil
		}
	}
}

// own returns the number of the slot of a timer that is in the levels, and the
// bits of its run. It looks whether the slot is taken but not by whom: that would
// be one more miss.
func (l *levels) own(t *Timer) (i int32, taken *uint16) {
	i = t.place &^ inLevels
	if at := uint32(i) >> runBits; l != nil && int(at) < len(l.taken) {
		if taken = &l.taken[at]; *taken>>(i%runSlots)&1 != 0 {
			return i, taken
		}
	}
	panic(notOurs)
}

// atMost reports whether a bucket has no more than so many timers.
func (l *levels) atMost(n int, b int) bool {
	first := l.buckets[b]
	for at := first; ; {
		n -= bits.OnesCount16(l.taken[at])
		if at = l.runs[at].next; n < 0 || at == first {
			return n >= 0
		}
	}
}

// detach takes all runs from a bucket, and returns the first of them.
func (l *levels) detach(b int) int32 {
	first := l.buckets[b]
	l.runs[l.runs[first].prev].next = 0
	l.buckets[b] = 0
	l.unuse(b)
	return first
}

// drain takes the timers out of a run of a detached bucket, and returns how many
// they were and the next run. It reads all of them before the caller goes on with
// any, so that their misses overlap.
func (l *levels) drain(at int32, to *[runSlots]entry) (n int, next int32) {
	for left := l.taken[at]; left != 0; left &= left - 1 {
		s := l.at(at<<runBits | int32(bits.TrailingZeros16(left)))
		to[n] = entry{when: s.t.when, seq: s.seq, t: s.t}
		n++
	}
	l.n -= n
	next = l.runs[at].next
	l.release(at)
	return n, next
}

// shrink moves all timers to a new slab when the old one has four times as many
// runs as they need, and leaves room for twice as many: between two moves lie
// as many operations as runs are moved.
func (l *levels) shrink() {
	need := l.n>>runBits + l.inUse
	if len(l.runs) <= 4*need+pageRuns {
		return
	}
	old, buckets := l.slab, l.buckets
	l.slab, l.n, l.inUse, l.gone = slab{}, 0, 0, 0
	for range 2*need>>pageBits + 1 {
		l.grow()
	}
	clear(l.buckets[:])
	for b, first := range buckets {
		for at := first; at != 0; {
			for left := old.taken[at]; left != 0; left &= left - 1 {
				s := old.at(at<<runBits | int32(bits.TrailingZeros16(left)))
				l.put(b, entry{seq: s.seq, t: s.t})
			}
			if at = old.runs[at].next; at == first {
				break
			}
		}
	}
}
