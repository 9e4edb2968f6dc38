package timer

import "math/bits"

// The storage of the levels: runs of 16 slots, in pages, so that it grows
// without a copy. A bucket is a ring of runs, the newest first. A bit for each
// slot says which are taken.
//
//	bucket      run 7            run 2            run 5
//	┌──────┐   ┌─────────────┐  ┌─────────────┐  ┌─────────────┐
//	│ n 12 ├──►│ t t . t     ├─►│ . t t t . t ├─►│ t t . t t t ├─► run 7
//	└──────┘   └─────────────┘  └─────────────┘  └─────────────┘
//
// So a timer that is stopped is out at the cost of its own slot: it leaves a
// gap, and the last one of a run gives the run back. In a list of single timers
// both neighbours would have to be touched, and in an array the one that fills
// the gap: in a million timers each of them is a cache miss.
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
	runs  []run // by number
	free  int32 // list of runs, by next
}

// A run's slots are in its page; this is what is to know about them.
type run struct {
	next, prev int32
	bucket     uint16
	taken      uint16 // a bit for each slot
}

// at returns the slot with this number: sixteen times that of its run, and its
// place in there.
func (s *slab) at(i int32) *slot {
	return &s.pages[i>>(runBits+pageBits)][i&(pageRuns*runSlots-1)]
}

// add takes a free run for the bucket, as its first.
func (l *levels) add(b int, k *bucket) {
	if k.n == 0 {
		l.use(b)
	}
	if l.free == 0 {
		l.grow()
	}
	r := l.free
	l.free = l.runs[r].next
	l.runs[r].bucket = uint16(b)
	l.link(k, r)
}

// grow adds a page.
func (s *slab) grow() {
	first := len(s.runs)
	s.pages = append(s.pages, new(page))
	s.runs = append(s.runs, make([]run, pageRuns)...)
	for r := len(s.runs) - 1; r >= max(first, 1); r-- {
		s.release(int32(r))
	}
	s.runs[0].taken = 1<<runSlots - 1
}

// release gives back a run whose slots are empty.
func (s *slab) release(r int32) {
	s.runs[r] = run{next: s.free}
	s.free = r
}

// link makes a run the first of the ring.
func (s *slab) link(k *bucket, r int32) {
	next, prev := k.first, r
	if next == 0 {
		next = r
	} else {
		prev = s.runs[next].prev
	}
	s.runs[r].next, s.runs[r].prev = next, prev
	s.runs[prev].next, s.runs[next].prev = r, r
	k.first = r
}

// unlink takes a run out of the ring.
func (s *slab) unlink(k *bucket, r int32) {
	next, prev := s.runs[r].next, s.runs[r].prev
	s.runs[prev].next, s.runs[next].prev = next, prev
	switch {
	case next == r:
		k.first = 0
	case k.first == r:
		k.first = next
	}
}

// put adds a timer to a bucket.
func (l *levels) put(b int, e entry) {
	k := &l.buckets[b]
	r := &l.runs[k.first] // run 0 counts as full
	if r.taken>>(runSlots-1) != 0 {
		l.add(b, k)
		r = &l.runs[k.first]
	}
	at := bits.Len16(r.taken)
	r.taken |= 1 << at
	i := k.first<<runBits | int32(at)
	*l.at(i) = slot{seq: e.seq, t: e.t}
	e.t.place = inLevels | i
	k.n++
	l.n++
}

// take removes a timer.
func (l *levels) take(t *Timer) {
	i := l.own(t)
	*l.at(i) = slot{} // hold no timer that is gone
	t.place = 0
	at := i >> runBits
	r := &l.runs[at]
	k := &l.buckets[r.bucket]
	l.n--
	if k.n--; k.n == 0 {
		l.unuse(int(r.bucket))
	}
	if r.taken &^= 1 << (i & (runSlots - 1)); r.taken == 0 {
		l.unlink(k, at)
		l.release(at)
	}
}

// own returns the number of the slot of a timer that is in the levels. It looks
// whether the slot is taken but not by whom: that would be one more miss.
func (l *levels) own(t *Timer) int32 {
	i := t.place &^ inLevels
	at := int(i >> runBits)
	if l == nil || at >= len(l.runs) || l.runs[at].taken>>(i&(runSlots-1))&1 == 0 {
		panic(notOurs)
	}
	return i
}

// detach takes all runs from a bucket.
func (l *levels) detach(b int) bucket {
	k := l.buckets[b]
	l.buckets[b] = bucket{}
	l.n -= int(k.n)
	l.unuse(b)
	return k
}

// drain takes the timers out of the first run of a detached bucket. It reads all
// of them before the caller goes on with any, so that their misses overlap.
func (l *levels) drain(k *bucket, to *[runSlots]entry) (n int) {
	at := k.first
	for left := l.runs[at].taken; left != 0; left &= left - 1 {
		s := l.at(at<<runBits | int32(bits.TrailingZeros16(left)))
		to[n] = entry{when: s.t.when, seq: s.seq, t: s.t}
		*s = slot{}
		n++
	}
	k.n -= int32(n)
	k.first = l.runs[at].next
	l.release(at)
	return n
}

// shrink moves all timers to a new slab when the old one has four times as many
// runs as they need, and leaves room for twice as many: between two moves lie
// as many operations as runs are moved.
func (l *levels) shrink() {
	need := l.n>>runBits + l.inUse
	if len(l.runs) <= 4*need+pageRuns {
		return
	}
	old := l.slab
	l.slab, l.n, l.inUse = slab{}, 0, 0
	for range 2*need>>pageBits + 1 {
		l.grow()
	}
	for b := range l.buckets {
		k := &l.buckets[b]
		n, at := k.n, k.first
		*k = bucket{}
		for ; n > k.n; at = old.runs[at].next {
			for left := old.runs[at].taken; left != 0; left &= left - 1 {
				e := old.at(at<<runBits | int32(bits.TrailingZeros16(left)))
				l.put(b, entry{seq: e.seq, t: e.t})
			}
		}
	}
}
