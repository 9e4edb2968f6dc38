package stream

// Policy says what becomes of a subscriber that is behind: its stream's window
// or its connection is full, and messages are published meanwhile. Publishing
// goes on whatever the policy is, and so do the other subscribers.
//
// Nothing is queued for a subscriber: it is a cursor in its loop's log. A
// policy is a move of that cursor, made when the stream has room again. With
// Queue = 3, the cursor at 4 and messages up to 9:
//
//	log          1 2 3 4 5 6 7 8 9
//	cursor             ^
//	DropOldest               7 8 9   4-6 are lost
//	Latest                       9   4-8
//	DropNewest         4 5 6         7 to whatever is the newest once 6 is sent
//	Conflate           4   6     9   none: 5, 7 and 8 had the keys of later ones
//	Disconnect                       the stream ended when 7 was published
//	Wait               4 5 6 7 8 9   and the stream ends if that takes too long
//	Hold               4 5 6         7 is taken by the loop when there is room for it
//
// Hold is for consumers that must have everything at the pace of the slowest:
// it is the only policy with which a subscriber delays the others of its loop.
//
// What is lost is told to the client with a gap marker (TopicConfig.Gap), in
// its place in the sequence: it covers exactly what is missing there.
type Policy uint8

const (
	_          Policy = iota // the topic's; a topic's is DropOldest
	DropOldest               // keeps the newest Queue messages
	Latest                   // keeps the newest message only
	Conflate                 // keeps the newest message of each key, in the order of their last changes
	DropNewest               // keeps the oldest Queue messages, and goes on with what is published once they are sent
	Disconnect               // ends the stream when more than Queue messages wait
	Wait                     // ends the stream when it has been behind for SubOptions.Wait
	Hold                     // holds the topic: Publish answers ErrFull rather than lose something for this subscriber; for SubOptions.Wait at a time, then the stream ends
)

const policies = int(Hold) + 1

var policyNames = [policies]string{"", "drop oldest", "latest", "conflate", "drop newest", "disconnect", "wait", "hold"}

// String returns the policy's name, "" for the topic's.
func (p Policy) String() string {
	if int(p) < policies {
		return policyNames[p]
	}
	return "unknown"
}

// complete reports whether the policy promises all or the end: then a message
// that has left the log ends the stream, where others see a gap.
func (p Policy) complete() bool { return p == Disconnect || p == Wait || p == Hold }

// statusSlow ends the stream of a subscriber that may not be that slow.
var statusSlow = &Status{Code: ResourceExhausted, Message: "slow subscriber"}

// adjust moves the cursor of a subscription that is behind to where its policy
// wants it, and reports whether the subscription goes on. It comes before the
// first push of a pull, so the cursor has stood still since the last one: what
// happened meanwhile can be told from where it stands, and a subscriber that
// stands still costs nothing.
func (sub *Subscription) adjust(c *catchup) bool {
	queue := uint64(sub.shape.queue)
	switch p := sub.shape.policy; {
	case sub.first:
		// What it asked for at its start, or came while that was sent, is
		// bounded by the log and not by Queue.
	case p == DropOldest, p == Latest:
		if c.behind() > queue {
			c.drop(c.head + 1 - queue)
		}
	case p == DropNewest:
		if c.stop == 0 && c.behind() > queue {
			c.stop = c.next + queue // was published with the queue full
		}
	case sub.overdue():
		return false
	}
	if lost := sub.lost(); c.next <= lost {
		c.drop(lost + 1)
	}
	if c.stop != 0 && c.next >= c.stop { // all that was kept is lost: one gap, not two
		c.skipHole()
	}
	return true
}

// skipHole goes on where DropNewest is when its queue is sent: what came while
// that was full is lost.
func (c *catchup) skipHole() {
	if c.next <= c.head {
		c.drop(c.head + 1)
	}
	c.stop = 0
}

// overdue reports whether the policy ends a subscription that is behind.
func (sub *Subscription) overdue() bool {
	head, p := sub.group.head, sub.shape.policy
	switch {
	case sub.next > head || !p.complete():
		return false
	case sub.first: // may take its snapshot again, but not for ever
		return p == Disconnect && head+1-sub.next > 2*uint64(sub.shape.topic.cfg.Ring)
	}
	return sub.next <= sub.lost() || p == Disconnect && head+1-sub.next > uint64(sub.shape.queue)
}

// lost returns the last message that the subscription's log has forgotten.
func (sub *Subscription) lost() uint64 {
	s := sub.group.shard
	if sub.shape.policy == Conflate {
		return s.keyed.lost
	}
	return s.log.tail - 1
}

// full reports whether a subscription with Hold has its queue full.
func (sub *Subscription) full() bool {
	return sub.shape.policy == Hold && sub.group.head+1 >= sub.next+uint64(sub.shape.queue)
}

// hold keeps the loop from taking more of the topic. Loop only.
func (sub *Subscription) hold() {
	if !sub.holds {
		sub.holds = true
		sub.group.shard.holding++
		sub.bePatient(sub.shape.wait)
	}
}

// release lets it go on.
func (sub *Subscription) release() {
	if !sub.holds {
		return
	}
	sub.holds = false
	s := sub.group.shard
	if !s.closed { // otherwise it runs for CloseWait
		sub.out.stop(&sub.more.patience.Timer)
	}
	if s.holding--; s.holding == 0 && s.held {
		s.held = false
		s.topic.wake(s)
	}
}
