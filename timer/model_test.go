package timer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// A program is bytes, three to an operation, that the heap and a model of it
// both run. After each operation what they tell of themselves must be equal.
// Few timers and few instants make ties, moves and collisions frequent. The
// upper bits of an operation say how far its instants lie apart: from one
// nanosecond to years, so that programs go through all levels.
const (
	timers   = 12
	instants = 24
)

// configurations are the heaps that run each program: as it is made, where few
// timers stay in the exact heap; and with levels from the first timer on, from
// which buckets go straight to the heap always, for up to two timers, or never.
var configurations = []func(h *Heap){
	func(*Heap) {},
	func(h *Heap) { withLevels(h, 0, timers) },
	func(h *Heap) { withLevels(h, 0, 2) },
	func(h *Heap) { withLevels(h, 0, 0) },
	func(h *Heap) { withLevels(h, 4, 1) },
}

func withLevels(h *Heap, few, direct int) {
	h.levels = newLevels(0)
	h.levels.few, h.levels.direct = few, direct
}

// reaction is what a timer does the next time it fires.
type reaction struct {
	kind   byte // 0 nothing, 1 set, 2 stop, 3 panic
	target int
	delta  Time
}

// world is what a program acts on.
type world interface {
	set(i int, when Time)
	stop(i int) bool
	advance(now Time) int
	react(i int, r reaction)
	state() string
}

// perform carries out a reaction in a world.
func perform(w world, r reaction, now Time) {
	switch r.kind {
	case 1:
		w.set(r.target, now.Add(time.Duration(r.delta)))
	case 2:
		w.stop(r.target)
	case 3:
		panic("fire")
	}
}

// real is the Heap under test.
type real struct {
	heap      Heap
	timers    [timers]Timer
	reactions [timers]reaction
	log       []string
}

func newReal(configure func(*Heap)) *real {
	w := &real{}
	configure(&w.heap)
	for i := range w.timers {
		w.timers[i].Init(Func(func(now Time) {
			w.log = append(w.log, fmt.Sprintf("%d@%d", i, w.timers[i].When()))
			r := w.reactions[i]
			w.reactions[i] = reaction{}
			perform(w, r, now)
		}))
	}
	return w
}

func (w *real) set(i int, when Time)    { w.heap.Set(&w.timers[i], when) }
func (w *real) stop(i int) bool         { return w.heap.Stop(&w.timers[i]) }
func (w *real) react(i int, r reaction) { w.reactions[i] = r }

func (w *real) advance(now Time) (fired int) {
	defer func() {
		if recover() != nil {
			fired = -1
		}
	}()
	return w.heap.Advance(now)
}

func (w *real) state() string {
	var b strings.Builder
	for i := range w.timers {
		if t := &w.timers[i]; t.Active() {
			fmt.Fprintf(&b, "%d:%d ", i, t.When())
		}
	}
	return fmt.Sprintf("len %d, set %s, fired %v", w.heap.Len(), b.String(), w.log)
}

// check tests the invariants that the fields of the heap have among themselves.
func (w *real) check() error {
	h := &w.heap
	if len(h.late) != 0 || h.advancing {
		return fmt.Errorf("late %d, advancing %v after the operation", len(h.late), h.advancing)
	}
	held := func(e entry) bool { return e.t != nil }
	if slices.ContainsFunc(h.late[:cap(h.late)], held) {
		return errors.New("a timer is still held that was set into the past")
	}
	gaps := 0
	for i := range h.entries {
		e := &h.entries[i]
		switch {
		case i > 0 && e.before(&h.entries[(i-1)/4]):
			return fmt.Errorf("entry %d before its parent", i)
		case e.t == nil:
			gaps++
		case int(e.t.place) != i+1:
			return fmt.Errorf("entry %d: its timer says place %d", i, e.t.place)
		case e.when > e.t.when:
			return fmt.Errorf("entry %d at %d, after its timer's %d", i, e.when, e.t.when)
		}
	}
	if gaps != h.gaps || gaps > 3*h.near()+spare {
		return fmt.Errorf("%d gaps of %d, %d said", gaps, len(h.entries), h.gaps)
	}
	return nil
}

// model does the same with a sorted slice and no cleverness.
type model struct {
	items     []item // sorted by when; equal ones in the order they were set
	reactions [timers]reaction
	advancing bool
	log       []string
}

type item struct {
	id   int
	when Time
	next bool // set into the past by a Fire: belongs to the next Advance
}

func (m *model) find(i int) int {
	return slices.IndexFunc(m.items, func(x item) bool { return x.id == i })
}

func (m *model) set(i int, when Time) {
	m.stop(i)
	at := 0
	for at < len(m.items) && m.items[at].when <= when {
		at++
	}
	m.items = slices.Insert(m.items, at, item{id: i, when: when, next: m.advancing})
}

func (m *model) stop(i int) bool {
	at := m.find(i)
	if at < 0 {
		return false
	}
	m.items = slices.Delete(m.items, at, at+1)
	return true
}

func (m *model) react(i int, r reaction) { m.reactions[i] = r }

func (m *model) advance(now Time) (fired int) {
	m.advancing = true
	defer func() {
		if recover() != nil {
			fired = -1
		}
		m.advancing = false
		for i := range m.items {
			m.items[i].next = false
		}
	}()
	for {
		at := slices.IndexFunc(m.items, func(x item) bool { return x.when <= now && x.when != Never && !x.next })
		if at < 0 {
			return fired
		}
		x := m.items[at]
		m.items = slices.Delete(m.items, at, at+1)
		m.log = append(m.log, fmt.Sprintf("%d@%d", x.id, x.when))
		fired++
		r := m.reactions[x.id]
		m.reactions[x.id] = reaction{}
		perform(m, r, now)
	}
}

func (m *model) state() string {
	var b strings.Builder
	for i := range timers {
		if at := m.find(i); at >= 0 {
			fmt.Fprintf(&b, "%d:%d ", i, m.items[at].when)
		}
	}
	return fmt.Sprintf("len %d, set %s, fired %v", len(m.items), b.String(), m.log)
}

// instant reads an instant from an operation: near now, or as far as e says, 4^e
// ns apart; every other e has them around the beginning of a bucket.
func instant(now Time, e, b byte) Time {
	if e == 0 {
		return now + Time(b%instants) - 4
	}
	d := time.Duration(int8(b)) << e << e
	if d>>e>>e != time.Duration(int8(b)) {
		return Never
	}
	when := now.Add(d)
	if s := shift(uint(b) % levelCount); e%2 == 1 && when < Never>>1 {
		when = when>>s<<s + Time(b%3) - 1
	}
	return when
}

// later reads how far Advance goes: a little, as far as e says, to where Next
// says, back, or to the end.
func later(now, next Time, e, b byte) Time {
	switch {
	case e == 0:
		return now + Time(b%(instants/4))
	case e < 20:
		return max(now, instant(now, e, b&127))
	case e < 30:
		return next
	case e == 30:
		return max(0, now-Time(b)<<30)
	case b%8 == 0:
		return Never
	}
	return now + 1
}

// runBoth runs a program in both worlds, with each configuration, and returns
// the first difference.
func runBoth(program []byte) error {
	for i, configure := range configurations {
		w, m := newReal(configure), &model{}
		now := Time(0)
		for step := 0; step < len(program)/3; step++ {
			what, err := operate(w, m, &now, [3]byte(program[3*step:]))
			if err != nil {
				return fmt.Errorf("configuration %d, step %d, %s: %w", i, step, what, err)
			}
		}
	}
	return nil
}

// operate carries out one operation in both worlds.
func operate(w *real, m *model, now *Time, op [3]byte) (what string, err error) {
	i, b, e := int(op[1])%timers, op[2], op[0]/8
	var got, want string
	switch op[0] % 8 {
	case 0, 1, 2:
		when := instant(*now, e, b)
		what = fmt.Sprintf("set %d to %d", i, when)
		w.set(i, when)
		m.set(i, when)
	case 3:
		what = fmt.Sprintf("stop %d", i)
		got, want = fmt.Sprint(w.stop(i)), fmt.Sprint(m.stop(i))
	case 4, 5:
		r := reaction{kind: e % 4, target: int(b) % timers, delta: (Time(b/16) - 4) << (e / 4 * 7)}
		what = fmt.Sprintf("react %d %+v", i, r)
		w.react(i, r)
		m.react(i, r)
	default:
		next, _ := w.heap.Next()
		*now = later(*now, next, e, b)
		what = fmt.Sprintf("advance to %d", *now)
		w.log, m.log = nil, nil
		got, want = fmt.Sprint(w.advance(*now)), fmt.Sprint(m.advance(*now))
	}
	if got != want {
		return what, fmt.Errorf("%s, want %s", got, want)
	}
	if got, want := w.state(), m.state(); got != want {
		return what, fmt.Errorf("\n got %s\nwant %s", got, want)
	}
	err = errors.Join(w.check(), compareNext(w, m))
	if op[0]%8 >= 6 { // what an Advance left; looking takes its time
		err = errors.Join(err, w.heap.levels.check())
	}
	return what, err
}

// compareNext holds Next to its promise: never after the first timer's instant,
// and where a bucket begins after what the heap knows of the present.
func compareNext(w *real, m *model) error {
	when, ok := w.heap.Next()
	if ok != (len(m.items) > 0) {
		return fmt.Errorf("Next says %v with %d timers set", ok, len(m.items))
	}
	if ok && when > m.items[0].when {
		return fmt.Errorf("Next is %d, the first timer is at %d", when, m.items[0].when)
	}
	if l := w.heap.levels; ok && l != nil && l.next <= l.base {
		return fmt.Errorf("the first bucket begins at %d, the heap is at %d", l.next, l.base)
	}
	return nil
}

// TestModel runs long random programs. The seed of a failure is printed; put
// it in place of the random one to see it again.
func TestModel(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for round := range 60 {
		program := make([]byte, 3*400)
		for i := range program {
			program[i] = byte(rnd.Uint32())
		}
		if err := runBoth(program); err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
	}
}

func FuzzHeap(f *testing.F) {
	f.Add([]byte{0, 1, 9, 0, 2, 9, 0, 1, 12, 6, 0, 5, 6, 0, 5})
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 3*150 {
			t.Skip("longer than a program needs to be")
		}
		if err := runBoth(program); err != nil {
			t.Fatal(err)
		}
	})
}
