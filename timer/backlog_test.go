package timer

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// gate is a pool with a door.
type gate struct {
	mu     sync.Mutex
	shut   bool
	taken  []func()
	offers int
	look   func() // at each offer, on the clock's goroutine
}

func (g *gate) Submit(f func()) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.offers++
	if g.look != nil {
		g.look()
	}
	if g.shut {
		return errors.New("shut")
	}
	g.taken = append(g.taken, f)
	return nil
}

func (g *gate) open(open bool) {
	g.mu.Lock()
	g.shut = !open
	g.mu.Unlock()
}

func (g *gate) run() {
	g.mu.Lock()
	taken := g.taken
	g.taken = nil
	g.mu.Unlock()
	for _, f := range taken {
		f()
	}
}

// What the pool refuses is handed over later, in order, and what is more than
// the backlog holds runs on the clock itself: nothing is lost.
func TestRefusedFunctionsAreKept(t *testing.T) {
	const keep, all = 8, 12
	g := &gate{shut: true}
	c := newClock(t, ClockConfig{Pool: g, Backlog: keep, Shards: 1})
	var mu sync.Mutex
	var ran []int
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(ran) }
	start := Now().Add(time.Millisecond)
	for i := range all {
		a := &Alarm{shard: &c.shards[0], f: func() {
			mu.Lock()
			ran = append(ran, i)
			mu.Unlock()
		}}
		a.timer.Init(a)
		require.True(t, a.shard.arm(&a.timer, start.Add(time.Duration(i))))
	}
	require.Eventually(t, func() bool { return c.Stats().Refused == all }, 20*time.Second, time.Millisecond)
	s := c.Stats()
	require.EqualValues(t, keep, s.Backlog)
	require.EqualValues(t, all-keep, s.Inline)
	require.Equal(t, all-keep, count(), "those run already")

	g.open(true)
	require.Eventually(t, func() bool { g.run(); return count() == all }, 20*time.Second, time.Millisecond)
	require.Equal(t, []int{8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 6, 7}, ran)
	require.Zero(t, c.Stats().Backlog)
	require.EqualValues(t, all, c.Stats().Fired)
}

// A pool that goes on refusing is asked less and less often, and when it takes
// again, those who waited come before those who did not.
func TestRetriesBackOff(t *testing.T) {
	g := &gate{shut: true}
	c, err := startClock(ClockConfig{Pool: g, Shards: 1}, sources{wall: wallAhead, slept: suspended})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	var pauses []time.Duration
	order := make(chan string, 2)
	g.mu.Lock()
	g.look = func() {
		if g.offers == 10 {
			g.shut, g.look = false, nil
			return
		}
		pauses = append(pauses, c.backlog.pause())
		if g.offers == 9 { // long before the next retry
			c.AfterFunc(0, func() { order <- "second" })
		}
	}
	g.mu.Unlock()
	c.AfterFunc(0, func() { order <- "first" })
	require.Eventually(t, func() bool { g.run(); return len(order) == 2 }, 20*time.Second, time.Millisecond)
	require.Equal(t, "first", <-order)
	require.Equal(t, "second", <-order)

	ms := time.Millisecond // the first two offers are the firing's and the first retry
	require.Equal(t, []time.Duration{ms, ms, 2 * ms, 4 * ms, 8 * ms, 16 * ms, 32 * ms, 64 * ms, 128 * ms}, pauses)
	require.Equal(t, lastRetry, (&backlog{tries: 40}).pause())
}
