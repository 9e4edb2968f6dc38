package stream

import (
	"time"

	"github.com/weir-go/weir/timer"
)

// What moves a subscription from one standing to the next. Loop only.

// join is a subscription's arrival on its loop.
func (sub *Subscription) join(from uint64, resume bool) {
	// What was sent to the stream before it subscribed goes out first. It may
	// still be in the session's inbox: posts come before pokes.
	b := sub.out.burst()
	b.begin()
	b.flush()
	t := sub.shape.topic
	if sub.state != joining { // canceled on the way
		t.missed()
		return
	}
	s, closed := t.shardOf(sub.out.loop())
	if closed && !s.closed {
		t.repost(s) // it may have been made since, and has not been told
	}
	if err := sub.hang(); err != nil {
		sub.leave(err)
		return
	}
	g := s.groupOf(b)
	t.mu.Lock()
	sub.group = g
	t.mu.Unlock()
	g.count++
	s.count++
	if sub.shape.policy == Conflate && s.keyed == nil {
		s.keyed = newCompacted(&s.log, t.cfg.Keys, t.cfg.RingBytes)
	}
	if err := sub.start(from, resume); err != nil {
		sub.fallBehind()
		sub.expel(err)
		return
	}
	g.burst.begin()
	sub.fallBehind()
	sub.pull(nil)
	if s.closed && sub.state == behind {
		sub.bePatient(t.cfg.CloseWait)
	}
	g.burst.flush()
}

// fallBehind puts the subscription among those that pull.
func (sub *Subscription) fallBehind() {
	s := sub.group.shard
	s.mu.Lock()
	sub.state = behind
	sub.slow = int32(len(s.slow))
	s.slow = append(s.slow, sub)
	s.mu.Unlock()
	if sub.shape.policy.complete() {
		s.watch(sub)
	}
}

// wait asks for a pull when there is room. The time that the policy Wait gives
// runs until the subscriber is up to date.
func (sub *Subscription) wait() {
	if sub.shape.policy == Wait && !sub.hasPatience() {
		sub.bePatient(sub.shape.wait)
	}
	sub.out.want()
}

// catchesUp takes it from there.
func (sub *Subscription) catchesUp(to standing) {
	s := sub.group.shard
	s.mu.Lock()
	last := len(s.slow) - 1
	s.slow[sub.slow] = s.slow[last]
	s.slow[sub.slow].slow = sub.slow
	s.slow[last] = nil
	s.slow = s.slow[:last]
	sub.state = to
	s.mu.Unlock()
	sub.release()
	if sub.hasPatience() {
		sub.out.stop(&sub.more.patience.Timer)
	}
}

// upToDate ends a pull that has sent all there was.
func (sub *Subscription) upToDate() {
	g := sub.group
	sub.first = false
	switch {
	case g.shard.closed:
		sub.finish()
		return
	case g.busy || sub.next > g.head+1:
		sub.catchesUp(early)
	default:
		sub.catchesUp(live)
	}
	g.admit(sub)
}

// arrive takes the subscription up whose first message has come.
func (sub *Subscription) arrive() {
	sub.group.dismiss(sub)
	sub.fallBehind()
	sub.pull(nil)
}

// expel ends the stream with the status of err, and with it the subscription.
func (sub *Subscription) expel(err error) {
	s := sub.group.shard
	if err == error(statusSlow) {
		s.mu.Lock()
		s.tally.Disconnected++
		s.mu.Unlock()
	}
	if sub.remove() {
		sub.out.end(err)
		sub.ended(err)
	}
}

// finish is the topic's end for one subscription.
func (sub *Subscription) finish() {
	if !sub.remove() {
		return
	}
	cause := sub.shape.topic.cause()
	if sub.shape.ended == nil {
		sub.out.end(cause)
	}
	sub.ended(cause)
}

// gone is the stream's end.
func (sub *Subscription) gone(st *Stream) {
	if st == nil {
		sub.leave(ErrClosed)
		return
	}
	sub.leave(st.final.asError())
}

// leave ends the subscription and not the stream.
func (sub *Subscription) leave(err error) {
	if sub.remove() {
		sub.ended(err)
	}
}

// remove takes the subscription out of everything, once.
func (sub *Subscription) remove() bool {
	if sub.state == over {
		return false
	}
	sub.shape.topic.subs.Add(-1)
	g := sub.group
	if g == nil { // joining
		sub.state = over
		return true
	}
	s := g.shard
	switch sub.state {
	case behind:
		sub.catchesUp(over)
	case live, early:
		g.dismiss(sub)
		s.mu.Lock()
		if sub.state == live && sub.shape.filter == nil {
			sub.sent += g.head + 1 - sub.next
		}
		sub.state = over
		s.mu.Unlock()
	}
	sub.dropSnapshot()
	sub.unhang()
	g.count--
	s.count--
	g.dissolve()
	if s.closed && s.count == 0 {
		sub.shape.topic.retire(s)
	}
	return true
}

// ended tells the user, who may do anything: it comes last.
func (sub *Subscription) ended(err error) {
	if f := sub.shape.ended; f != nil {
		defer func() { _ = recover() }() // its own business, and nobody else's
		f(err)
	}
}

// patience ends a subscription that is behind for too long.
type patience struct {
	timer.Timer
	sub *Subscription
}

func (p *patience) Fire(timer.Time) {
	if p.sub.state == behind {
		p.sub.expel(statusSlow)
	}
}

func (sub *Subscription) hasPatience() bool {
	return sub.more != nil && sub.more.patience != nil && sub.more.patience.Active()
}

func (sub *Subscription) bePatient(d time.Duration) {
	x := sub.extra()
	if x.patience == nil {
		x.patience = &patience{sub: sub}
		x.patience.Init(x.patience)
	}
	sub.out.after(&x.patience.Timer, d)
}
