package bounds

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/timer"
)

func TestMain(m *testing.M) { leak.Main(m) }

// kernel is what a Bounds under test asks. Its goroutine is the test's.
type kernel struct {
	soft int
	open int
	err  error
}

func (k *kernel) limit() (soft, hard uint64, err error) { return uint64(k.soft), uint64(k.soft), k.err }
func (k *kernel) inUse() (int, error)                   { return k.open, k.err }

// byHand makes Bounds that the test watches itself, and the clock that it does
// so by.
func byHand(t *testing.T, cfg Config, k *kernel) (*Bounds, *hand) {
	t.Helper()
	h := new(hand)
	h.now.Store(1)
	b, err := newBounds(cfg, sources{limit: k.limit, inUse: k.inUse, now: h.time})
	if err != nil {
		t.Fatal(err)
	}
	h.b = b
	h.passes(0)
	return b, h
}

type hand struct {
	b   *Bounds
	now atomic.Int64 // the test's goroutine sets it
}

func (h *hand) time() timer.Time { return timer.Time(h.now.Load()) }

// passes lets so much time pass, in steps of those of the real one.
func (h *hand) passes(d time.Duration) {
	for end := h.time().Add(d); h.time() < end; {
		h.now.Add(int64(min(every, end.Sub(h.time()))))
		h.b.watch(h.time())
	}
	if d == 0 {
		h.b.watch(h.time())
	}
}

func take(t *testing.T, b *Bounds, c Class, n int) {
	t.Helper()
	for i := range n {
		if err := b.Take(c); err != nil {
			t.Fatalf("%s %d of %d: %v", c, i, n, err)
		}
	}
}

func give(b *Bounds, c Class, n int) {
	for range n {
		b.Give(c)
	}
}

func wantState(t *testing.T, b *Bounds, want State) {
	t.Helper()
	if v := b.Verdict(); v.State != want {
		t.Fatalf("%+v, want %s", v, want)
	}
}
