package stream

// TopicStats is what a topic has counted, and what it holds now.
type TopicStats struct {
	Name string

	Published    uint64
	Delivered    uint64           // pushes of a message to a subscriber
	Filtered     uint64           // messages that a filter kept from one
	Superseded   uint64           // Conflate: messages that for a subscriber were replaced by later ones of their keys
	Dropped      [policies]uint64 // messages that a subscriber's policy passed over, by Policy
	Gaps         uint64           // runs of them; with TopicConfig.Gap, markers sent
	Disconnected uint64           // streams ended because they were too slow
	Full         uint64           // publishes refused with ErrFull
	PostBusy     uint64           // posts to a loop that was too busy and was asked again

	Subs      int    // subscriptions now
	Shards    int    // loops with subscribers
	Behind    int    // subscriptions that are behind
	BehindMax uint64 // messages that the slowest of them has still to be sent
	BehindSum uint64 // and all together
	Held      int    // messages in the topic's log
	HeldBytes int    // their bytes; the loops hold the same ones
}

// count adds what a shard has counted.
func (t *TopicStats) count(o *TopicStats) {
	t.Delivered += o.Delivered
	t.Filtered += o.Filtered
	t.Superseded += o.Superseded
	for p := range t.Dropped {
		t.Dropped[p] += o.Dropped[p]
	}
	t.Gaps += o.Gaps
	t.Disconnected += o.Disconnected
}

// Stats returns what has been counted. It waits for no loop, and looks at each
// subscription that is behind.
func (t *Topic) Stats() TopicStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := t.tally
	st.Name, st.Published = t.cfg.Name, t.log.head
	st.Full, st.PostBusy = t.full.Load(), t.postBusy.Load()
	st.Subs, st.Shards = t.Len(), len(t.shards)
	st.Held, st.HeldBytes = t.log.len(), t.log.bytes
	for _, s := range t.shards {
		s.addTo(&st)
	}
	return st
}

func (s *shard) addTo(st *TopicStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.count(&s.tally)
	st.Behind += len(s.slow)
	for _, sub := range s.slow {
		if sub.next <= sub.group.head {
			n := sub.group.head + 1 - sub.next
			st.BehindMax = max(st.BehindMax, n)
			st.BehindSum += n
		}
	}
}
