package stream

import (
	"math"
	"slices"
	"sync"
	"time"
)

// shard is a topic on one loop: its own log, and the subscribers there, by
// their sessions. It is made when the first one comes, out of the topic's log,
// and let go with the first publish that finds nobody.
//
//	Publish ─► topic's log ──── one post for each loop ────┐
//	                                                       ▼
//	     take: new messages into the shard's log ─► serve: group by group
//	                                                  up to date: push
//	                                                  behind:     nothing; pull, when there is room
//
// One pass over all groups is a round. A round takes as few messages at once,
// and run stops between two groups, so that a topic never has the loop for
// itself for more than about runBudget pushes.
type shard struct {
	topic *Topic
	index int    // of the loop
	again func() // run, made once
	lost  func() // for when the loop has ended; likewise

	// Owned by the loop.
	log       history
	keyed     *compacted // nil until there is a subscriber with Conflate
	groups    []*group
	byBurst   map[burst]*group
	fresh     []*Message // the round's messages, freshFrom and following
	freshFrom uint64
	round     bool   // not all groups are served
	turn      int    // of groups: the next to serve
	left      bool   // the topic has more than the round took
	count     int    // subscriptions
	soonest   uint64 // no head before it is too much for anybody's Queue
	oldest    uint64 // no tail up to it is too much either
	holding   int    // subscriptions of which the queue is full, with Hold
	held      bool   // a run has come meanwhile
	closing   bool   // the topic is closed
	closed    bool   // and all it had is served

	// Guarded by the topic's mu.
	taken  uint64 // last message taken
	owed   int    // bytes of those not yet taken
	posted bool   // run is on its way

	// Written by the loop, read by Stats.
	mu    sync.Mutex
	slow  []*Subscription // those behind
	tally TopicStats
}

const (
	// runBudget is how many pushes one run may make, about: they take a
	// millisecond or two.
	runBudget = 16384

	// roundMost is how many messages a round takes at most.
	roundMost = 256

	never64 = math.MaxUint64

	// retryPost is when a post is tried again that the loop was too busy for.
	retryPost = time.Millisecond
)

// run serves until the budget is used up or there is nothing left. Loop only.
func (s *shard) run() {
	if s.round {
		s.topic.arrived(s)
	} else if s.holding > 0 {
		s.held = true // posted still, so that nobody else posts before release does
		return
	} else if !s.take() {
		return
	}
	for budget := runBudget; s.turn < len(s.groups) && budget > 0; {
		g := s.groups[s.turn]
		s.turn++
		budget -= g.serve()
	}
	if s.round = s.turn < len(s.groups); s.round {
		s.topic.repost(s)
		return
	}
	clear(s.fresh)
	s.fresh = s.fresh[:0]
	s.judge()
	switch {
	case s.left:
		s.topic.repost(s)
	case s.closing:
		s.close()
	}
}

// take begins a round with the messages that have come, and reports whether
// there is anybody to serve.
func (s *shard) take() bool {
	t := s.topic
	if s.count == 0 {
		t.retire(s)
		return false
	}
	most, bytes := min(max(runBudget/s.count, 1), roundMost, max(t.cfg.Ring/2, 1)), 0
	s.turn, s.freshFrom = 0, s.log.head+1
	t.mu.Lock()
	s.posted = false
	for s.taken < t.log.head && len(s.fresh) < most {
		e := *t.log.at(s.taken + 1)
		if bytes += len(e.m.p); bytes > t.cfg.RingBytes && len(s.fresh) > 0 {
			break
		}
		e.m.Retain()
		s.taken++
		s.owed -= len(e.m.p)
		s.log.add(e)
		s.fresh = append(s.fresh, e.m)
	}
	s.left, s.closing = s.taken < t.log.head, t.closed
	t.hasRoom()
	t.mu.Unlock()
	if s.keyed != nil {
		for seq := s.freshFrom; seq <= s.log.head; seq++ {
			s.keyed.set(seq, *s.log.at(seq))
		}
		s.keyed.trim(t.cfg.Keys, t.cfg.RingBytes)
	}
	s.log.trim(t.cfg.Ring, t.cfg.RingBytes)
	return true
}

// watch notes when the policy of a subscription that falls behind may end it.
func (s *shard) watch(sub *Subscription) {
	switch {
	case sub.first && sub.shape.policy == Disconnect:
		s.soonest = min(s.soonest, sub.next+2*uint64(s.topic.cfg.Ring))
	case sub.shape.policy == Hold:
		s.soonest = min(s.soonest, sub.next+uint64(sub.shape.queue)-1)
	case sub.first:
	case sub.shape.policy == Disconnect:
		s.soonest = min(s.soonest, sub.next+uint64(sub.shape.queue))
		fallthrough
	default:
		s.oldest = min(s.oldest, sub.next)
	}
}

// judge ends those that are further behind than their policy allows: it comes
// to them, because they may never pull again. It looks only when one may be.
func (s *shard) judge() {
	if s.log.head < s.soonest && s.log.tail <= s.oldest {
		return
	}
	s.soonest, s.oldest = never64, never64
	for i := len(s.slow) - 1; i >= 0; i-- {
		if i >= len(s.slow) {
			continue // several have left with one
		}
		switch sub := s.slow[i]; {
		case sub.overdue():
			sub.expel(statusSlow)
		case sub.full():
			sub.hold()
		case sub.shape.policy.complete():
			s.watch(sub)
		}
	}
}

// close ends the subscriptions of a topic that was closed. Those that are
// behind may send what there is, for a while.
func (s *shard) close() {
	s.closed = true
	for _, sub := range slices.Clone(s.slow) {
		if sub.state == behind {
			sub.bePatient(s.topic.cfg.CloseWait)
		}
	}
	for _, g := range slices.Clone(s.groups) {
		for _, sub := range slices.Concat(g.live, g.picky, g.early) {
			sub.finish()
		}
	}
}

// groupOf returns the group of a session.
func (s *shard) groupOf(b burst) *group {
	g := s.byBurst[b]
	if g == nil {
		g = &group{shard: s, burst: b, head: s.log.head}
		s.byBurst[b] = g
		s.groups = append(s.groups, g)
	}
	return g
}

// dissolve takes an empty group out of the shard.
func (g *group) dissolve() {
	s := g.shard
	if g.count > 0 || g.busy || s.byBurst[g.burst] != g {
		return
	}
	delete(s.byBurst, g.burst)
	i := slices.Index(s.groups, g)
	s.groups = slices.Delete(s.groups, i, i+1)
	if i < s.turn {
		s.turn--
	}
}
