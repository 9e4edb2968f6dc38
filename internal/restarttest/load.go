package restarttest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/await"
)

// Load is clients that ask until they are told to stop. What goes wrong fails the
// test: nothing may.
type Load struct {
	stop  chan struct{}
	wg    sync.WaitGroup
	asked atomic.Uint64
	wrong chan error
}

// Ask starts clients. Each makes one request after the other, whose numbers are
// its own, plus a multiple of how many there are.
func Ask(clients int, request func(n int) error) *Load {
	l := &Load{stop: make(chan struct{}), wrong: make(chan error, clients)}
	for i := range clients {
		l.wg.Go(func() {
			for n := i; ; n += clients {
				select {
				case <-l.stop:
					return
				default:
				}
				if err := request(n); err != nil {
					l.wrong <- err
					return
				}
				l.asked.Add(1)
			}
		})
	}
	return l
}

// More waits until n more requests have been answered.
func (l *Load) More(t *testing.T, n uint64) {
	t.Helper()
	late := time.Now().Add(await.Patience)
	for until := l.asked.Load() + n; l.asked.Load() < until; {
		select {
		case err := <-l.wrong:
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(late) {
			t.Fatal("the clients do not get on")
		}
	}
}

// End ends the clients, when they have had their answers.
func (l *Load) End(t *testing.T, what string) {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	close(l.wrong)
	for err := range l.wrong {
		t.Errorf("%s: %v", what, err)
	}
	t.Logf("%s: %d requests", what, l.asked.Load())
}
