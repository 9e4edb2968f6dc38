package netconn

import (
	"sync"
	"time"
)

// deadline is the one of a Listener. Connections have theirs on the loop; an
// Accept waits for several things anyway, so a channel is what it needs.
type deadline struct {
	mu     sync.Mutex
	timer  *time.Timer
	passed chan struct{} // closed when it has; nil: none was ever set
}

// wait returns a channel that is closed once the deadline has passed, by a
// later set too.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.channel()
}

func (d *deadline) channel() chan struct{} {
	if d.passed == nil {
		d.passed = make(chan struct{})
	}
	return d.passed
}

// set moves the deadline; the zero time removes it. Those who wait keep their
// channel as long as it is open.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.channel() // it fired: its close is done or about to be
	}
	d.timer = nil
	passed := d.channel()
	select {
	case <-passed:
		d.passed = make(chan struct{})
		passed = d.passed
	default:
	}
	if t.IsZero() {
		return
	}
	if left := time.Until(t); left > 0 {
		d.timer = time.AfterFunc(left, func() { close(passed) })
		return
	}
	close(passed)
}
