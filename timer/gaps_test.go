package timer

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// crowd is a heap of so many timers that gaps are swept, next to the order in
// which they were set last.
type crowd struct {
	Heap
	ts    [1200]Timer
	order [1200]int // number of the last Set
	sets  int
	fired []int
}

func newCrowd() *crowd {
	c := &crowd{}
	for i := range c.ts {
		c.ts[i].Init(Func(func(Time) { c.fired = append(c.fired, i) }))
	}
	return c
}

func (c *crowd) set(i int, when Time) {
	c.sets++
	c.order[i] = c.sets
	c.Set(&c.ts[i], when)
}

// due returns who is to fire by now, in order.
func (c *crowd) due(now Time) (due []int) {
	for i := range c.ts {
		if c.ts[i].Active() && c.ts[i].When() <= now {
			due = append(due, i)
		}
	}
	slices.SortFunc(due, func(a, b int) int {
		return cmp.Or(cmp.Compare(c.ts[a].When(), c.ts[b].When()), cmp.Compare(c.order[a], c.order[b]))
	})
	return due
}

// check tests the heap's order, its places and its count of gaps.
func (c *crowd) check() error {
	active := 0
	for i := range c.ts {
		if c.ts[i].Active() {
			active++
		}
	}
	if err := (&real{heap: c.Heap}).check(); err != nil {
		return err
	}
	if active != c.Len() {
		return fmt.Errorf("%d active, Len is %d", active, c.Len())
	}
	return nil
}

// TestGaps sets, moves and stops at random, now more of the one and now more of
// the other, so that stopped timers come up, are trimmed and are swept away.
func TestGaps(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	c, now := newCrowd(), Time(0)
	most := 0
	for step := range 40_000 {
		i, stops := rnd.IntN(len(c.ts)), step/2000%2*5
		switch op := rnd.IntN(10); {
		case op < 2+stops:
			c.Stop(&c.ts[i])
		case op < 9 || step%40 != 0:
			c.set(i, now+Time(rnd.IntN(3000))) // ties are frequent
		default:
			now += Time(rnd.IntN(40))
			want := c.due(now)
			c.fired = nil
			if n := c.Advance(now); n != len(want) || !slices.Equal(c.fired, want) {
				t.Fatalf("seed %d, step %d: fired %v, want %v", seed, step, c.fired, want)
			}
		}
		most = max(most, c.gaps)
		if step%100 == 0 {
			if err := c.check(); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
		}
	}
	if most <= spare {
		t.Fatalf("seed %d: %d gaps at most, too few to sweep", seed, most)
	}
}

// TestStoppedFirst has Next say the first timer that is left, after those before
// it were stopped, few or many.
func TestStoppedFirst(t *testing.T) {
	for _, stopped := range []int{1, 3, 50, 1199} {
		c := newCrowd()
		for i := range c.ts {
			c.set(i, Time(i+1))
		}
		for i := range stopped {
			c.Stop(&c.ts[i])
		}
		if when, ok := c.Next(); !ok || when != Time(stopped+1) {
			t.Errorf("%d stopped: Next is %d, %v", stopped, when, ok)
		}
		if err := c.check(); err != nil {
			t.Errorf("%d stopped: %v", stopped, err)
		}
	}
}

// However timers are stopped, the levels keep no more room than four times what
// they need: also when the number of timers never comes to a round one.
func TestStoppedLeaveRoom(t *testing.T) {
	var h Heap
	var all []*Timer
	add := func() {
		x := &Timer{}
		x.Init(Func(func(Time) {}))
		h.Set(x, Time(time.Hour))
		all = append(all, x)
	}
	for range 32<<10 + 1 {
		add()
	}
	for i := 0; i < len(all) && i < 2<<20; i++ { // one of sixteen stays
		if x := all[i]; x.place >= inLevels && x.place%runSlots != runSlots-1 {
			add()
			h.Stop(x)
		}
	}
	l := h.levels
	require.NotZero(t, l.n%runSlots)
	require.LessOrEqual(t, len(l.runs), 4*(l.n/runSlots+l.inUse)*3/2+2*pageRuns)
}
