package timer

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// check tests the invariants of the levels.
func (l *levels) check() error {
	if l == nil {
		return nil
	}
	n, inUse, runs, first := 0, 0, 0, Never
	for b := range l.buckets {
		head := l.buckets[b]
		held := 0
		for at, end := head, false; at != 0 && !end; at = l.runs[at].next {
			runs++
			got, err := l.checkRun(b, at)
			if err != nil {
				return err
			}
			held += got
			end = l.runs[at].next == head
		}
		if b != never {
			bit := l.used[b>>slotBits][b&255/64]>>(b%64)&1 == 1
			if bit != (held > 0) || bit && l.mask>>(b>>slotBits)&1 == 0 {
				return fmt.Errorf("bucket %d with %d timers: bit %v, levels %b", b, held, bit, l.mask)
			}
		}
		if n += held; held > 0 {
			inUse++
			first = min(first, l.begin(b))
		}
	}
	for at := l.free; at != 0; at = l.runs[at].next {
		runs++
	}
	pointing := 0
	for r := range l.runs {
		for i, s := range l.slots(int32(r)) {
			if s.t == nil || l.taken[r]>>i&1 != 0 {
				continue
			}
			if pointing++; l.taken[r] == 0 {
				return fmt.Errorf("run %d is free and points to a timer", r)
			}
		}
	}
	if pointing > l.gone || l.gone > l.n/2+keep {
		return fmt.Errorf("%d slots point to timers that have left, %d said, with %d set", pointing, l.gone, l.n)
	}
	if n != l.n || inUse != l.inUse || runs != len(l.runs)-1 || first != l.next {
		return fmt.Errorf("%d timers of %d, %d buckets of %d, %d runs of %d, first at %d, not %d",
			n, l.n, inUse, l.inUse, runs, len(l.runs)-1, first, l.next)
	}
	return nil
}

func (l *levels) checkRun(b int, at int32) (held int, err error) {
	r, taken := &l.runs[at], l.taken[at]
	if taken == 0 || int(r.bucket) != b || l.runs[r.next].prev != at {
		return 0, fmt.Errorf("run %d in bucket %d: %+v", at, b, *r)
	}
	for i := at << runBits; i < (at+1)<<runBits; i++ {
		t := l.at(i).t
		if taken>>(i&(runSlots-1))&1 == 0 {
			continue // whoever it points to has left
		}
		if t == nil {
			return 0, fmt.Errorf("slot %d: taken by nobody", i)
		}
		held++
		if t.place != inLevels|i || t.when < l.begin(b) || l.begin(b) <= l.base {
			return 0, fmt.Errorf("slot %d of a bucket at %d: timer says place %x, instant %d",
				i, l.begin(b), t.place, t.when)
		}
	}
	return held, nil
}

// owner sleeps until Next and advances, as a loop does, until nothing is set.
// It returns how often it woke.
func owner(t *testing.T, h *Heap, woke func(now Time)) (wakes int) {
	t.Helper()
	last := Time(math.MinInt64)
	for when, ok := h.Next(); ok && when != Never; when, ok = h.Next() {
		if when <= last {
			t.Fatalf("Next is %d after an Advance to %d", when, last)
		}
		last = when
		wakes++
		woke(when)
		h.Advance(when)
	}
	return wakes
}

// edges returns instants around the edges of each level's buckets and spans.
func edges() (all []Time) {
	for level := range uint(levelCount) {
		for _, slots := range []Time{1, 2, 255, 256, 257} {
			if edge := slots << shift(level); edge>>shift(level) == slots {
				all = append(all, edge-1, edge, edge+1)
			}
		}
	}
	year := Time(365 * 24 * time.Hour)
	return append(all, year, 100*year, 1<<62-1, 1<<62, Never-2, Never-1)
}

// TestExactAtEdges sets one timer at an edge, seen from several presents. It
// fires at its very nanosecond, after at most one wake-up for each second level.
func TestExactAtEdges(t *testing.T) {
	for _, direct := range []int{0, 1} {
		for _, base := range append(edges(), 0, 1, 123456789) {
			for _, d := range edges() {
				when := base + d
				if when < base || when == Never {
					continue
				}
				var h Heap
				withLevels(&h, 0, direct)
				h.Advance(base)
				var now, firedAt Time
				var x Timer
				x.Init(Func(func(Time) { firedAt = now }))
				h.Set(&x, when)
				wakes := owner(t, &h, func(at Time) { now = at })
				if firedAt != when {
					t.Fatalf("from %d, %d ahead: fired at %d, want %d", base, d, firedAt, when)
				}
				if err := h.levels.check(); err != nil {
					t.Fatal(err)
				}
				if most := 2 + levelCount/2*(1-direct); wakes > most {
					t.Fatalf("from %d, %d ahead: woke %d times, want %d at most", base, d, wakes, most)
				}
			}
		}
	}
}

// TestTiesAcrossLevels sets timers to one instant from further and further
// near: the first of them goes down through all levels, the last one is put
// into the heap at once, and one each is moved there from before and after.
func TestTiesAcrossLevels(t *testing.T) {
	const when = Time(1)<<61 + 12345
	for _, direct := range []int{0, 1, 100} {
		var h Heap
		withLevels(&h, 0, direct)
		var fired, want []int
		ts := make([]Timer, 3*63)
		add := func(id int, first Time) {
			x := &ts[id]
			x.Init(Func(func(Time) { fired = append(fired, id) }))
			if first != 0 {
				h.Set(x, first)
			}
			h.Set(x, when)
			want = append(want, id)
		}
		for i := range 62 {
			h.Advance(when - Time(1)<<(61-i))
			add(3*i, 0)
			add(3*i+1, when-1)
			add(3*i+2, Never)
		}
		if h.Advance(when - 1); len(fired) != 0 {
			t.Fatalf("direct %d: %v fired before their instant", direct, fired)
		}
		if h.Advance(when); fmt.Sprint(fired) != fmt.Sprint(want) {
			t.Errorf("direct %d: fired %v, want them in order", direct, fired)
		}
	}
}

// TestFarStoppedIsForgotten stops a million far timers and makes nonsense of
// them. Nothing looks at them again, and no storage is left for them.
func TestFarStoppedIsForgotten(t *testing.T) {
	const n = 1_000_000
	h, ts := filled(n)
	if h.levels == nil || h.levels.n < n-few-1 {
		t.Fatal("the timers are not in the levels")
	}
	for i := range ts {
		h.Stop(&ts[i])
		ts[i] = Timer{when: 1, place: math.MaxInt32}
	}
	if when, ok := h.Next(); ok || h.Len() != 0 {
		t.Fatalf("Next is %d with %d set", when, h.Len())
	}
	if err := h.levels.check(); err != nil {
		t.Fatal(err)
	}
	before := *h.levels
	if fired := h.Advance(Time(2 * far)); fired != 0 {
		t.Errorf("%d fired", fired)
	}
	before.base = h.levels.base
	if before.buckets != h.levels.buckets || before.used != h.levels.used {
		t.Error("Advance changed the levels")
	}
	if pages := len(h.levels.pages); pages > 2 {
		t.Errorf("%d pages kept", pages)
	}
	for i := range ts {
		if ts[i].when != 1 || ts[i].place != math.MaxInt32 || ts[i].stamp != 0 {
			t.Fatalf("timer %d was touched", i)
		}
	}
}

// TestLevelsShrink leaves every 16th of many timers, one in each run, so that
// no run becomes free by itself.
func TestLevelsShrink(t *testing.T) {
	const n = 100_000
	h, ts := filled(n)
	most := len(h.levels.pages)
	for i := range ts {
		if i%16 != 0 {
			h.Stop(&ts[i])
		}
	}
	if err := h.levels.check(); err != nil {
		t.Fatal(err)
	}
	if pages := len(h.levels.pages); pages > most/2 {
		t.Errorf("%d pages of %d kept for a sixteenth of the timers", pages, most)
	}
	last, fired := Time(0), 0
	for i := range ts {
		ts[i].Init(Func(func(now Time) {
			fired++
			if ts[i].When() < last {
				t.Errorf("%d fired after %d", ts[i].When(), last)
			}
			last = ts[i].When()
		}))
	}
	h.Advance(Time(far))
	if fired != n/16 || h.Len() != 0 {
		t.Errorf("%d fired, %d left, want %d and 0", fired, h.Len(), n/16)
	}
}

// TestBackInTime goes to the end of time and back: an instant that comes again
// is kept exactly, and far timers go to the levels again.
func TestBackInTime(t *testing.T) {
	s := newStage()
	withLevels(&s.Heap, 0, 0)
	s.Set(&s.a, Time(time.Hour))
	s.Advance(Never)
	s.Advance(5)
	s.Set(&s.b, Time(time.Hour))
	s.Set(&s.c, 6)
	if s.levels.n != 1 {
		t.Errorf("%d timers in the levels, want the one that is far", s.levels.n)
	}
	s.Advance(6)
	s.Set(&s.d, Never)
	s.Advance(Time(time.Hour) - 1)
	s.Advance(Time(time.Hour))
	if s.Advance(Never); s.fired != "acb" || !s.d.Active() {
		t.Errorf("fired %q, d active %v", s.fired, s.d.Active())
	}
}

// TestStampWrapsInLevels moves a timer, has its bucket opened, and then the 32
// bits that it keeps of its number come round: its order is whole by then.
func TestStampWrapsInLevels(t *testing.T) {
	for _, direct := range []int{0, 1} {
		s := newStage()
		withLevels(&s.Heap, 0, direct)
		s.Set(&s.a, Time(10*time.Second))
		s.Set(&s.a, Time(10*time.Second))
		when, _ := s.Next()
		s.Advance(when)
		s.seq += 1<<32 - 3
		s.Set(&s.b, Time(10*time.Second))
		for range 5 {
			s.Set(&s.c, Time(time.Hour))
		}
		if s.Advance(Time(10 * time.Second)); s.fired != "ab" {
			t.Errorf("direct %d: fired %q, want ab", direct, s.fired)
		}
	}
}
