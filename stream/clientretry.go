package stream

import (
	"slices"
	"strconv"
	"time"

	"github.com/weir-go/weir/internal/h2"
)

// called counts a new call, which pays for a part of one that is done again. mu is
// held.
func (c *Client) called() {
	c.calls++
	if r := c.set.Retry; r.Ratio > 0 {
		c.budget = min(c.budget+r.Ratio, float64(r.Burst))
	}
}

// spend takes one from the budget, if it is there.
func (c *Client) spend() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spendHeld()
}

// spendHeld is spend with mu held.
func (c *Client) spendHeld() bool {
	if c.budget < 1 {
		c.nums.noBudget.Add(1)
		return false
	}
	c.budget--
	return true
}

// mayWait reports whether there is room for another call without a connection. mu
// is held.
func (c *Client) mayWait() bool {
	return c.queue.n+c.resting.n+c.leaving < c.set.MaxWaiting
}

// comesBack looks at the end of a response: whether it is a refusal of a server
// that wants the call back later, which then is on its way. On the loop.
func (o *outgoing) comesBack(b *h2.Block) bool {
	st := o.st
	if o.times <= 0 || o.sure || st.flags&ended != 0 || b.TooLarge || o.foreign != nil || o.response().headed {
		return false
	}
	wait, ok := pushback(fieldOf(b, pushbackKey))
	code := statusIn(b, false).Code
	if !ok || code != Unavailable && code != ResourceExhausted ||
		wait > o.client.set.Retry.Most || wait >= o.timeLeft() || o.cancelled() != nil || !o.client.wantsBack() {
		return false
	}
	o.times--
	o.again++
	o.pause = max(wait, 1)
	o.count()
	if st.h.State() != h2.Closed {
		st.sess.core.Reset(&st.h, h2.NoError) // as for every response that has ended
	}
	o.depart()
	return true
}

// wantsBack keeps a place for a call that comes back later, and pays for it.
func (c *Client) wantsBack() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nums.pushbacks.Add(1)
	if !c.mayWait() || !c.spendHeld() {
		return false
	}
	c.leaving++
	return true
}

// pushback reads when a server wants a call back, as gRFC A6 has it: what is
// negative, or no number, says never.
func pushback(s string) (time.Duration, bool) {
	ms, err := strconv.ParseInt(s, 10, 32)
	return time.Duration(ms) * time.Millisecond, err == nil && ms >= 0
}

const attemptsKey = "grpc-previous-rpc-attempts" // gRFC A6

// count tells the server how often it has had the call before.
func (o *outgoing) count() {
	own := len(o.header)
	if o.again > 1 { // the last one is ours
		own--
	}
	o.header = append(slices.Clip(o.header[:own]), Pair{attemptsKey, strconv.Itoa(o.again)})
}

// rest lets a call wait until the server wants it back. mu is held.
func (c *Client) rest(o *outgoing, d time.Duration) {
	o.place, o.avoid = resting, nil
	o.setAlarm()
	c.resting.push(o)
	o.nap = time.AfterFunc(d, func() { c.rouse(o) })
}

// rouse ends a call's rest: it looks for a connection.
func (c *Client) rouse(o *outgoing) {
	c.mu.Lock()
	rests := o.place == resting
	if rests {
		c.wake(o)
	}
	c.mu.Unlock()
	if rests {
		c.requeue(o)
	}
}

// wake takes a call from those that rest. mu is held.
func (c *Client) wake(o *outgoing) {
	c.resting.remove(o)
	o.place = nowhere
	o.nap.Stop()
	o.nap = nil
}
