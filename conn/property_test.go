package conn

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weir-go/weir/poller"
)

// nothing is a source that is only looked for.
type nothing struct{ id int }

func (*nothing) ready(*loop, poller.Ready) {}

// TestSlotsModel compares slots with a map. A token finds what it was made for
// until that has left, and nothing ever after, whoever has the slot then.
func TestSlotsModel(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var s slots
		live, dead := map[poller.Token]source{}, map[poller.Token]bool{}
		var order []poller.Token
		for step := range 3000 {
			switch k := r.IntN(10); {
			case k < 5:
				src := &nothing{step}
				tok := s.add(src)
				if tok == 0 || tok == nobodyToken || live[tok] != nil || dead[tok] {
					t.Fatalf("seed %d, step %d: token %x was given before", seed, step, tok)
				}
				live[tok] = src
				order = append(order, tok)
			case k < 9 && len(order) > 0:
				i := r.IntN(len(order))
				tok := order[i]
				order[i] = order[len(order)-1]
				order = order[:len(order)-1]
				s.remove(tok)
				s.remove(tok) // does nothing
				delete(live, tok)
				dead[tok] = true
			case len(order) > 0:
				tok := order[r.IntN(len(order))]
				src := &nothing{-step}
				s.swap(tok, src)
				live[tok] = src
			}
			if s.used != len(live) {
				t.Fatalf("seed %d, step %d: %d used, want %d", seed, step, s.used, len(live))
			}
		}
		for tok, src := range live {
			if s.find(tok) != src {
				t.Fatalf("seed %d: token %x finds %v, want %v", seed, tok, s.find(tok), src)
			}
		}
		for tok := range dead {
			if s.find(tok) != nil {
				t.Fatalf("seed %d: a token that has left finds %v", seed, s.find(tok))
			}
		}
		s.each(func(src source) {
			for tok, other := range live {
				if src == other {
					s.remove(tok)
					delete(live, tok)
					return
				}
			}
			t.Fatalf("seed %d: each found %v", seed, src)
		})
		if len(live) != 0 || s.used != 0 {
			t.Fatalf("seed %d: each left %d", seed, len(live))
		}
	}
}

// Slots that have never been used are found empty.
func TestSlotsEmpty(t *testing.T) {
	var s slots
	for _, tok := range []poller.Token{0, nobodyToken, poller.MakeToken(0, 1), poller.MakeToken(1<<20, 1), ^poller.Token(0)} {
		s.remove(tok)
		if s.find(tok) != nil {
			t.Errorf("token %x finds something", tok)
		}
	}
	if s.used != 0 {
		t.Errorf("%d used", s.used)
	}
}

// TestGateLosesNoWake has goroutines put things somewhere and wake, and one that
// takes them and waits, as a reader and the loop do: nothing is left lying while
// the taker sleeps. Deadlines come and go, and wake it for nothing.
func TestGateLosesNoWake(t *testing.T) {
	rounds := 20_000
	if testing.Short() {
		rounds = 4000
	}
	const wakers = 3
	var g gate
	var there, woken atomic.Int64
	var all sync.WaitGroup
	for range wakers {
		all.Go(func() {
			for range rounds {
				there.Add(1)
				if g.wake(edge) {
					woken.Add(1)
				}
				runtime.Gosched() // or the taker never finds the place empty
			}
		})
	}
	all.Go(func() {
		for range rounds {
			g.wake(expired)
			g.clear(expired)
		}
	})
	within(t, "everything is taken", func() {
		for taken := int64(0); taken < int64(wakers*rounds); {
			for g.state.Load()&edge == 0 {
				g.wait()
			}
			g.clear(edge) // before looking, as Blocking.try does
			taken += there.Swap(0)
		}
	})
	all.Wait()
	if s := g.state.Load(); s&parked != 0 || len(g.ch) != 0 {
		t.Errorf("state %b, %d sends too many", s, len(g.ch))
	}
	t.Logf("woken %d times", woken.Load())
}

// TestUsersCloseOnce has goroutines come and go while others close and retire:
// the descriptor is given up once, by the last, and nobody is let in after.
func TestUsersCloseOnce(t *testing.T) {
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	for round := range rounds {
		var u users
		var open, lasts, closers atomic.Int32
		open.Store(1)
		leave := func() {
			if u.leave() {
				open.Store(0)
				lasts.Add(1)
			}
		}
		var calls []func()
		for i := range 6 {
			calls = append(calls, func() {
				for range i {
					if !u.enter() {
						return
					}
					if open.Load() == 0 {
						t.Error("let in after the descriptor was closed")
					}
					leave()
				}
			})
		}
		for range 3 {
			calls = append(calls, func() {
				if u.close() {
					closers.Add(1)
					leave()
				}
			})
		}
		retired := false
		if round%2 == 0 {
			calls = append(calls, func() { retired = u.retire() })
		}
		together(t, calls)
		if want := int32(1); retired {
			if lasts.Load() != 0 || closers.Load() != 0 || !u.retired() {
				t.Fatalf("round %d: retired, and closed %d times", round, lasts.Load())
			}
		} else if lasts.Load() != want || closers.Load() != want {
			t.Fatalf("round %d: closed %d times, by %d", round, lasts.Load(), closers.Load())
		}
		if u.enter() {
			t.Fatalf("round %d: let in afterwards", round)
		}
	}
}
