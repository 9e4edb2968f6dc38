package timer

import (
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/poller"
)

// A watch notices that the wall clock was set or the machine was suspended.
// Where the kernel tells (bell), an event of the clock's poller says so.
// Otherwise the clock wakes now and then to look, if anybody cares.
type watch struct {
	bell  bell
	rings bool // the kernel tells
	cares atomic.Bool
	every time.Duration
	next  Time // when to look; owned by the clock's goroutine
}

func newWatch(p *poller.Poller, from sources) *watch {
	w := &watch{every: from.every}
	w.rings = from.bell && w.bell.open(p) == nil
	return w
}

// deadline is when the clock has to wake up to look.
func (w *watch) deadline() Time {
	if w.rings || !w.cares.Load() {
		return Never
	}
	return w.next
}

// due reports whether it is time to look.
func (w *watch) due(now Time) bool {
	if w.rings || !w.cares.Load() || now < w.next {
		return false
	}
	w.next = now.Add(w.every)
	return true
}

func (w *watch) close() {
	if w.rings {
		w.bell.close()
	}
}
