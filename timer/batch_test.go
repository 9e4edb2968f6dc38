package timer

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Advancing a few at a time fires the same timers in the same order as at once,
// also when others are set between two batches, near and far.
func TestAdvanceInBatches(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, configure := range configurations {
		for range 30 {
			var h Heap
			configure(&h)
			var want, got []entry
			now := Time(1)
			set := func() {
				e := entry{when: now.Add(time.Duration(r.Int64N(1 << (10 + r.IntN(34))))), seq: h.seq + 1, t: new(Timer)}
				e.t.Init(Func(func(Time) { got = append(got, e) }))
				h.Set(e.t, e.when)
				want = append(want, e)
			}
			for range 400 {
				set()
			}
			for h.Len() > 0 {
				now = now.Add(time.Duration(r.Int64N(1 << (20 + r.IntN(24)))))
				most := 1 + r.IntN(5)
				for n := most; n == most; {
					before := len(got)
					n = h.advance(now, most)
					if n > most || n != len(got)-before {
						t.Fatalf("%d fired, %d said, of at most %d", len(got)-before, n, most)
					}
					for _, e := range got[before:] {
						if e.when > now {
							t.Fatalf("%d fired at %d", e.when, now)
						}
					}
					if n == most && len(want) < 600 { // after the last batch it might be due at once, and stay
						set()
					}
				}
				if next, ok := h.Next(); ok && next <= now {
					t.Fatalf("%d is still there at %d", next, now)
				}
			}
			require.Len(t, got, len(want))
			inOrder(want)
			// What was set in between may come after what fired already.
			for i := 1; i < len(got); i++ {
				if got[i].before(&got[i-1]) && got[i].seq <= 400 {
					t.Fatalf("set %d was overtaken", got[i].seq)
				}
			}
			inOrder(got)
			require.True(t, slices.Equal(want, got))
		}
	}
}

func inOrder(es []entry) {
	slices.SortFunc(es, func(a, b entry) int {
		if a.before(&b) {
			return -1
		}
		return 1
	})
}
