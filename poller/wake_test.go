//go:build unix

package poller

import (
	"sync"
	"testing"
)

func TestWakeBeforeWait(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		var evs [1]Event
		ok(t, p.Wake())
		n, err := p.Wait(evs[:], -1)
		if n != 0 || err != nil {
			t.Fatalf("Wait = %d, %v", n, err)
		}
		quiet(t, p)
		if got, want := p.Stats(), (Stats{Wakes: 1}); got != want {
			t.Fatalf("stats %+v, want %+v", got, want)
		}
	})
}

func TestWakeDuringWait(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		const times = 100
		woken := make(chan error)
		go func() {
			var evs [1]Event
			for range times {
				_, err := p.Wait(evs[:], -1)
				woken <- err
			}
		}()
		for range times {
			ok(t, p.Wake())
			ok(t, <-woken)
		}
		if got, want := p.Stats(), (Stats{Wakes: times}); got != want {
			t.Fatalf("stats %+v, want %+v", got, want)
		}
	})
}

func TestWakesCoalesce(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		const calls = 1000
		for range calls {
			ok(t, p.Wake())
		}
		var evs [1]Event
		_, err := p.Wait(evs[:], -1)
		ok(t, err)
		if got, want := p.Stats(), (Stats{Wakes: 1, WakesCoalesced: calls - 1}); got != want {
			t.Fatalf("stats %+v, want %+v", got, want)
		}
		quiet(t, p)
	})
}

// The wake-up takes its place in the queue of the ready: it may come late, but
// it comes, and the events around it are all there.
func TestWakeAmongMoreThanFits(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		const conns = 5
		pairs := make([]*pair, conns)
		for i := range pairs {
			pairs[i] = newPair(t)
			pairs[i].add(p, Token(i))
		}
		for i, s := range pairs {
			if i == conns/2 {
				ok(t, p.Wake())
			}
			s.say(s.theirs, "x")
		}
		var evs [1]Event
		seen := map[Token]bool{}
		for len(seen) < conns || p.Stats().Wakes < 1 {
			n, err := p.Wait(evs[:], patience)
			ok(t, err)
			if n == 0 && p.Stats().Wakes != 1 {
				t.Fatalf("woken %d times, saw %d of %d", p.Stats().Wakes, len(seen), conns)
			}
			if n == 1 {
				seen[evs[0].Token] = true
			}
		}
	})
}

// inbox is the pattern that Wake is for.
type inbox struct {
	mu    sync.Mutex
	posts []func()
}

func (b *inbox) post(f func()) {
	b.mu.Lock()
	b.posts = append(b.posts, f)
	b.mu.Unlock()
}

func (b *inbox) take() (posts []func()) {
	b.mu.Lock()
	posts, b.posts = b.posts, nil
	b.mu.Unlock()
	return posts
}

// Half of the producers wait for each post to be done, so that the waiter goes
// to sleep as often as it can, the others post without a pause. A lost wake-up
// leaves a post behind in a Wait that nobody ends.
func TestNoWakeIsLost(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		const producers, posts = 6, 3000
		var box inbox
		var all sync.WaitGroup
		left := producers * posts // touched by posts only, that is by the waiter
		for i := range producers {
			all.Go(func() {
				done := make(chan struct{}, posts)
				for range posts {
					box.post(func() { left--; done <- struct{}{} })
					if err := p.Wake(); err != nil {
						t.Error(err)
						return
					}
					if i%2 == 0 {
						<-done
					}
				}
			})
		}
		var evs [4]Event
		for left > 0 {
			wakes := p.Stats().Wakes
			_, err := p.Wait(evs[:], patience)
			ok(t, err)
			lost := p.Stats().Wakes == wakes // the time was over
			for _, f := range box.take() {
				f()
			}
			if lost {
				t.Error("a Wait ended by itself with posts outstanding")
			}
		}
		all.Wait()
	})
}

// What each caller wrote before Wake is seen after Wait, also what those wrote
// whose call was coalesced. Meant for the race detector.
func TestWakePublishes(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		const callers = 8
		var notes [callers]int
		for i := range callers {
			go func() {
				notes[i] = i + 1
				_ = p.Wake()
			}()
		}
		var evs [1]Event
		for s := (Stats{}); s.Wakes+s.WakesCoalesced < callers; s = p.Stats() {
			_, err := p.Wait(evs[:], patience)
			ok(t, err)
		}
		for i, note := range notes {
			if note != i+1 {
				t.Errorf("caller %d left %d", i, note)
			}
		}
	})
}
