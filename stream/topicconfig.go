package stream

import "time"

// TopicConfig says how a topic is made. The zero value works.
type TopicConfig struct {
	Name string // for statistics

	Ring      int // messages that are kept, and may be owed to a subscriber. 0: 1024
	RingBytes int // likewise in bytes, with 5 for each message; with Conflate once more for the values of keys. 0: 4 MiB
	Inbox     int // messages that may wait for a loop before Publish answers ErrFull. 0: 1024; at most Ring
	Keys      int // Conflate: keys of which the value is kept; above, the one that has not changed for longest is forgotten. 0: 65536
	MaxSubs   int // subscriptions. 0: 1,048,576

	// CloseWait is how long subscribers that are behind may take, after Close,
	// to send what was published before. 0: 5 s
	CloseWait time.Duration

	// Gap makes the message that tells a client what it has missed: appended to
	// dst, the encoded form of "from to to, both included, are not coming". It
	// is called on the loop and must not block. With a filter, messages that
	// would not have passed it are in the range too. nil: clients are told
	// nothing.
	Gap func(dst []byte, from, to uint64) []byte

	// SubOptions are what subscriptions have that leave theirs zero.
	SubOptions
}

func orDefault[T ~int | ~int64](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// shapeOf fills in what o leaves to the topic, or to the defaults.
func (t *Topic) shapeOf(o SubOptions) shape {
	d := t.cfg.SubOptions
	sh := shape{topic: t, policy: o.Policy, queue: o.Queue, wait: o.Wait, filter: o.Filter, snapshot: o.Snapshot, ended: o.Ended}
	if int(sh.policy) >= policies || sh.policy == 0 {
		sh.policy = d.Policy
	}
	if int(sh.policy) >= policies || sh.policy == 0 {
		sh.policy = DropOldest
	}
	orDefault(&sh.queue, d.Queue)
	orDefault(&sh.queue, 64)
	sh.queue = min(sh.queue, t.cfg.Ring)
	switch sh.policy {
	case Latest:
		sh.queue = 1
	case Hold: // the other half is for what one round brings
		sh.queue = min(sh.queue, max(t.cfg.Ring/2, 1))
	}
	orDefault(&sh.wait, d.Wait)
	orDefault(&sh.wait, time.Second)
	if sh.filter == nil {
		sh.filter = d.Filter
	}
	if sh.snapshot == nil {
		sh.snapshot = d.Snapshot
	}
	if sh.ended == nil {
		sh.ended = d.Ended
	}
	return sh
}
