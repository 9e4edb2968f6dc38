package stream

import (
	"sync/atomic"
	"time"
)

// SubOptions say what one subscriber gets. Zero values are the topic's own
// (TopicConfig.SubOptions), and where that is zero too as commented.
type SubOptions struct {
	Policy Policy        // DropOldest
	Queue  int           // messages that may wait while the subscriber is behind. 64; at most TopicConfig.Ring, half of that with Hold
	Wait   time.Duration // how long it may be behind, with Wait, or hold the topic at a time, with Hold. 1 s

	// Filter says whether the subscriber gets a message. It is called on the
	// loop, must not block, and m is to be read only. nil: all. If it panics,
	// the stream ends with Internal.
	Filter func(m []byte, key string) bool

	// Snapshot returns the state from which the subscriber goes on, and the
	// number of the last message that is contained in it: nothing published
	// later is missed and nothing is doubled. Each message carries one
	// reference, which the topic releases. It is called on the loop, must not
	// block, and may lock what Publish is called under. When the log has
	// forgotten the next message by the time the snapshot is sent, it is called
	// again, three times at most. Then, and if it panics, see Filter and Gap.
	Snapshot func() (state []*Message, seq uint64)

	// From is the number of the first message wanted, for a client that comes
	// back: if the log has it, there is neither a snapshot nor a gap. A number
	// that the topic has not reached is of an earlier life of it, in a process
	// that has ended since, and gets the snapshot, or what there is from 1 on. 0:
	// what is published after Subscribe. Not of a topic's defaults.
	From uint64

	// Ended is called on the loop, once and last, when the subscription is over:
	// with nil after Cancel, with the stream's end (nil: OK, else its *Status,
	// or ErrClosed if it had ended before it could be joined), with the status
	// that the topic has ended the stream with, or with what Close was given:
	// then it is Ended's to finish the stream. nil: Close finishes it.
	Ended func(err error)
}

// shape is what subscriptions with the same options share.
type shape struct {
	topic    *Topic
	policy   Policy
	queue    int
	wait     time.Duration
	filter   func(m []byte, key string) bool
	snapshot func() ([]*Message, uint64)
	ended    func(error)
}

// Where a subscription stands:
//
//	            ┌──────────── early ◄───┐ its first message is still to come to the loop
//	            ▼                       │
//	joining ─► behind ◄──────────────► live    all that the loop has is pushed
//	   │        │  a push is refused    │
//	   └────────┴────────► over ◄───────┘
type standing uint8

const (
	joining standing = iota
	early
	live
	behind
	over
)

// Subscription is a stream's place in a topic. Its methods may be called from
// any goroutine.
type Subscription struct {
	out   subscriber
	shape *shape
	group *group // nil while joining; the loop sets it with the topic's mu held

	// Owned by the loop; written with the shard's mu held, for Stats.
	next    uint64 // first message not yet sent; of a live one: the first since it is live
	sent    uint64 // before it was live
	dropped uint64
	gap     uint64 // first message that is missing and not yet told; 0: none
	gaps    uint32
	state   standing

	// Owned by the loop.
	first bool   // has never been live
	holds bool   // Hold: its queue is full
	place int32  // in the group's list
	slow  int32  // in the shard's list of those behind
	more  *extra // nil for most

	canceled atomic.Bool
}

// extra is what few subscriptions need.
type extra struct {
	snapshot   []*Message // still to be sent
	taken      int        // how often
	stop       uint64     // DropNewest: first message not wanted; 0: the queue has not been full
	superseded uint64     // Conflate
	patience   *patience
}

// extra makes room for what few need. Loop only, with a group.
func (sub *Subscription) extra() *extra {
	if sub.more == nil {
		mu := &sub.group.shard.mu
		mu.Lock()
		sub.more = new(extra)
		mu.Unlock()
	}
	return sub.more
}

// SubStats is what one subscription has counted.
type SubStats struct {
	Sent       uint64 // messages, without snapshots and gap markers
	Dropped    uint64 // message numbers that were passed over by the policy
	Gaps       uint64 // runs of them: with TopicConfig.Gap, the markers that were sent
	Superseded uint64 // Conflate: message numbers passed over because a later one had the key, or by the filter meanwhile
	Behind     uint64 // message numbers still to come
}

// Stats returns what the subscription has counted; with a filter, Sent counts
// what has passed it.
func (sub *Subscription) Stats() (st SubStats) {
	g := sub.shape.topic.groupOf(sub)
	if g == nil {
		return SubStats{} // joining
	}
	g.shard.mu.Lock()
	defer g.shard.mu.Unlock()
	st = SubStats{Sent: sub.sent, Dropped: sub.dropped, Gaps: uint64(sub.gaps)}
	switch {
	case sub.state == live && sub.shape.filter == nil:
		st.Sent += g.head + 1 - sub.next
	case sub.state == behind && sub.next <= g.head:
		st.Behind = g.head + 1 - sub.next
	}
	if sub.more != nil {
		st.Superseded = sub.more.superseded
	}
	return st
}

// Cancel ends the subscription, not the stream. It takes effect on the stream's
// loop: messages may still be sent until Ended is called. Canceling again does
// nothing.
func (sub *Subscription) Cancel() {
	if sub.canceled.CompareAndSwap(false, true) {
		sub.shape.topic.post(sub.out.loop(), func() { sub.leave(nil) })
	}
}
