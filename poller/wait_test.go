//go:build unix

package poller

import (
	"errors"
	"math"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestWaitIsNeverEarly(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		var evs [1]Event
		for _, timeout := range []time.Duration{
			1, time.Microsecond, 50 * time.Microsecond, 999 * time.Microsecond,
			time.Millisecond, time.Millisecond + 1, 3500 * time.Microsecond, 12 * time.Millisecond,
		} {
			began := time.Now()
			n, err := p.Wait(evs[:], timeout)
			took := time.Since(began)
			ok(t, err)
			if n != 0 || took < timeout {
				t.Errorf("Wait(%v) returned %d events after %v", timeout, n, took)
			}
		}
	})
}

// What was asked of an earlier Wait, that something else ended, does not end a
// later one.
func TestPreciseWaits(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		p.Precise()
		var evs [1]Event
		wait := func(timeout time.Duration) {
			t.Helper()
			began := time.Now()
			n, err := p.Wait(evs[:], timeout)
			ok(t, err)
			if took := time.Since(began); n != 0 || took < timeout {
				t.Errorf("Wait(%v) returned %d events after %v", timeout, n, took)
			}
		}
		wait(time.Millisecond)
		ok(t, p.Wake())
		n, err := p.Wait(evs[:], time.Millisecond) // ended by the Wake
		if n != 0 || err != nil {
			t.Fatalf("woken Wait: %d, %v", n, err)
		}
		wait(5 * time.Millisecond)
		wait(0)
		wait(700 * time.Nanosecond)
	})
}

// A timeout beyond what the kernel counts is not an error, and does not keep a
// wake-up out.
func TestWaitAcceptsAnyTimeout(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		var evs [1]Event
		for _, timeout := range []time.Duration{math.MaxInt64, 1 << 54, -1, math.MinInt64} {
			ok(t, p.Wake())
			if n, err := p.Wait(evs[:], timeout); n != 0 || err != nil {
				t.Errorf("Wait(%v) = %d, %v", timeout, n, err)
			}
		}
	})
}

func TestWaitNeedsRoom(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		if _, err := p.Wait(nil, 0); !errors.Is(err, ErrNoRoom) {
			t.Fatalf("Wait(nil): %v, want ErrNoRoom", err)
		}
	})
}

func TestSecondWaiterIsRefused(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		done := make(chan error)
		go func() {
			var evs [1]Event
			for {
				// The test's own looks may be in the way at first.
				if _, err := p.Wait(evs[:], patience); !errors.Is(err, ErrBusy) {
					done <- err
					return
				}
				runtime.Gosched()
			}
		}()
		var evs [1]Event
		for {
			_, err := p.Wait(evs[:], 0)
			if errors.Is(err, ErrBusy) {
				break
			}
			ok(t, err)
			runtime.Gosched()
		}
		ok(t, p.Wake())
		ok(t, <-done)
	})
}

// What does not fit comes first in the next Wait: nobody is reported a second
// time before everybody has been reported once, although everybody always has
// something new.
func TestMoreThanFitsStarvesNobody(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		const conns, room, rounds = 10, 3, 60
		pairs := make([]*pair, conns)
		for i := range pairs {
			pairs[i] = newPair(t)
			pairs[i].add(p, Token(i))
		}
		// Where a descriptor has two filters it may take two places.
		const turn = (2*conns + room - 1) / room
		var last [conns]int
		evs := make([]Event, room)
		for round := 1; round <= rounds; round++ {
			for _, s := range pairs {
				s.say(s.theirs, "x")
			}
			n, err := p.Wait(evs, patience)
			ok(t, err)
			if n == 0 {
				t.Fatal("nobody is ready")
			}
			for _, ev := range evs[:n] {
				last[ev.Token.Slot()] = round
			}
			for i, seen := range last {
				if round-seen > turn {
					t.Fatalf("round %d: %d was last seen in round %d", round, i, seen)
				}
			}
		}
	})
}

// Every edge arrives exactly once when no more is written, in as many Waits as
// it takes.
func TestManyDescriptors(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		const conns = 400
		pairs := make([]*pair, conns)
		for i := range pairs {
			pairs[i] = newPair(t)
			ok(t, p.Add(pairs[i].ours, MakeToken(uint32(i), 9)))
		}
		collect(t, p, conns, Writable, func(i int) bool { return true })
		for i := 0; i < conns; i += 3 {
			pairs[i].say(pairs[i].theirs, "x")
		}
		collect(t, p, conns, Readable, func(i int) bool { return i%3 == 0 })
		quiet(t, p)
	})
}

// collect waits until bit has come for each slot that want names, and fails
// when it comes for another.
func collect(t *testing.T, p *Poller, slots int, bit Ready, want func(slot int) bool) {
	t.Helper()
	seen := make([]bool, slots)
	missing := 0
	for i := range slots {
		if want(i) {
			missing++
		}
	}
	evs := make([]Event, 64)
	for missing > 0 {
		n, err := p.Wait(evs, patience)
		ok(t, err)
		if n == 0 {
			t.Fatalf("%d descriptors were never %v", missing, bit)
		}
		for _, ev := range evs[:n] {
			slot := int(ev.Token.Slot())
			if !ev.Ready.Has(bit) || seen[slot] {
				continue
			}
			if !want(slot) {
				t.Fatalf("slot %d is %v out of nothing", slot, ev.Ready)
			}
			seen[slot] = true
			missing--
		}
	}
}

// The kernel's array grows with evs, also after a smaller one.
func TestRoomMayGrowAndShrink(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		const conns = 12
		for i := range conns {
			ok(t, p.Add(newPair(t).ours, Token(i)))
		}
		seen := map[Token]bool{}
		for _, room := range []int{1, 4, 2, 64, 64, 64} {
			evs := make([]Event, room)
			n, err := p.Wait(evs, 0)
			ok(t, err)
			for _, ev := range evs[:n] {
				seen[ev.Token] = true
			}
		}
		if len(seen) != conns {
			t.Fatalf("saw %d of %d", len(seen), conns)
		}
	})
}

// What was written before Add is seen by whoever gets the event: a table of
// connections needs no lock for that. Meant for the race detector.
func TestAddPublishes(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		const conns = 64
		var table [conns]*pair
		pairs := make([]*pair, conns)
		for i := range pairs {
			pairs[i] = newPair(t)
		}
		failed := make(chan error, 1)
		go func() {
			var err error
			for i := 0; i < conns && err == nil; i++ {
				table[i] = pairs[i]
				err = p.Add(pairs[i].ours, Token(i))
			}
			failed <- err
		}()
		evs := make([]Event, 8)
		for seen := 0; seen < conns; {
			n, err := p.Wait(evs, patience)
			ok(t, err)
			if n == 0 {
				t.Fatalf("saw %d of %d", seen, conns)
			}
			for _, ev := range evs[:n] {
				if slot := ev.Token.Slot(); table[slot] != pairs[slot] {
					t.Fatalf("slot %d is empty", slot)
				}
				seen++
			}
		}
		ok(t, <-failed)
	})
}

func TestTurnAllocatesNothing(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		s := newPair(t)
		s.add(p, 1)
		evs := make([]Event, 64) // more than the helpers use
		b := []byte{'x'}
		turn := func(timeout time.Duration) {
			_, _ = unix.Write(s.theirs, b)
			if n, err := p.Wait(evs, timeout); n == 0 || err != nil {
				t.Fatalf("Wait = %d, %v", n, err)
			}
			_, _ = unix.Read(s.ours, b)
			_ = p.Wake()
			if n, err := p.Wait(evs, timeout); n != 0 || err != nil {
				t.Fatalf("Wait = %d, %v", n, err)
			}
			_, _ = p.Wait(evs, 0)
		}
		for _, timeout := range []time.Duration{0, patience, -1} {
			if got := testing.AllocsPerRun(100, func() { turn(timeout) }); got != 0 {
				t.Errorf("a turn with Wait(%v) allocates %v times", timeout, got)
			}
		}
	})
}
