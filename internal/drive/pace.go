package drive

import (
	"time"

	"github.com/weir-go/weir/poller"
)

// when is the time at which the n-th message of an open loop's window is due.
func (l *Load) when(n int) time.Duration {
	return l.began + time.Duration(n)*time.Second/time.Duration(l.cfg.Rate)
}

// pace tells each client when a message of its own has become due, one client
// after the other, until the function it returns is called. It sleeps in a
// poller of its own, whose time-outs are in nanoseconds: the timers of package
// time may be a millisecond late, which would look like the server's latency.
func (l *Load) pace() (stop func()) {
	alarm, err := poller.Open()
	if err != nil {
		l.fail(err)
		return func() {}
	}
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		events := make([]poller.Event, 1)
		for n := 0; ; n++ {
			for wait := l.when(n) - l.now(); wait > 0; wait = l.when(n) - l.now() {
				if _, err := alarm.Wait(events, wait); err != nil {
					return
				}
			}
			select {
			case <-over: // looked at even when it is behind and never waits
				return
			default:
				l.clients[n%len(l.clients)].(*peer).post()
			}
		}
	}()
	return func() {
		close(over)
		alarm.Close()
		<-done
	}
}

// overdue counts the messages that were due and couldn't be begun, because
// their client had Pipeline of them under way.
func (l *Load) overdue(now time.Duration) (count uint64) {
	for _, c := range l.clients {
		p := c.(*peer)
		p.tally.mu.Lock()
		for n := p.nth; p.out == l.cfg.Pipeline && l.when(n) <= now; n += len(l.clients) {
			count++
		}
		p.tally.mu.Unlock()
	}
	return count
}
