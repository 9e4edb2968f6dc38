package stream

import "slices"

// group is the subscribers of one session: what they are pushed leaves in one
// write. Loop only, but for head.
type group struct {
	shard *shard
	burst burst
	head  uint64 // last message that was pushed to the live ones; written with the shard's mu held

	// Those that are up to date have no cursor of their own: it is head+1. For
	// them a message costs one push, which is why the streams lie here side by
	// side and the subscriptions are not looked at.
	out  []subscriber
	live []*Subscription // of out, by its index; nil: has left while the group was busy

	picky []*Subscription // up to date, with a filter
	early []*Subscription // of which the first message is still to come

	count int  // of its subscriptions, also those that are behind
	busy  bool // serve is walking the lists
	holes bool // nil in one of them
}

// serve pushes the round's messages to those that are up to date, and returns
// how many pushes that may have been.
func (g *group) serve() int {
	s := g.shard
	if g.head == s.log.head {
		return 0
	}
	g.burst.begin()
	g.busy = true
	delivered := g.serveLive()
	filtered := uint64(0)
	if len(g.picky) > 0 {
		sent, n := g.servePicky()
		delivered, filtered = delivered+sent, n
	}
	s.mu.Lock()
	g.head = s.log.head
	s.tally.Delivered += delivered
	s.tally.Filtered += filtered
	s.mu.Unlock()
	g.busy = false
	if g.holes {
		g.tidy()
	}
	for i := len(g.early) - 1; i >= 0; i-- {
		if i < len(g.early) && g.early[i].next <= g.head+1 {
			g.early[i].arrive()
		}
	}
	work := g.count * len(s.fresh)
	g.burst.flush()
	g.dissolve()
	return work
}

func (g *group) serveLive() (delivered uint64) {
	fresh, first := g.shard.fresh, g.shard.freshFrom
	for i, out := range g.out {
		if i%ahead == 0 {
			fetch(g.out[i:min(i+ahead, len(g.out))])
		}
		if out == nil {
			continue
		}
		for k, m := range fresh {
			if !out.push(m) {
				g.stall(i, first+uint64(k))
				delivered -= uint64(len(fresh) - k)
				break
			}
		}
		delivered += uint64(len(fresh))
	}
	return delivered
}

// ahead is how many streams are fetched at once.
const ahead = 16

// fetch reads of some streams what a push looks at. Between two messages many
// streams leave the cache; read here they come back side by side, while a push
// would wait for one after the other. Not inlined, or the reads, of which
// nothing is used, would be left out.
//
//go:noinline
func fetch(list []subscriber) (sum uint32) {
	for _, out := range list {
		if t, ok := out.(*tap); ok {
			sum += t.h.ID() + uint32(t.flags)
		}
	}
	return sum
}

// stall takes a subscriber whose stream has no room for message seq out of the
// fast path.
func (g *group) stall(i int, seq uint64) {
	sub := g.live[i]
	if sub == nil {
		return // left during its push
	}
	g.out[i], g.live[i], g.holes = nil, nil, true
	s := g.shard
	s.mu.Lock()
	sub.sent += seq - sub.next
	sub.next = seq
	s.mu.Unlock()
	sub.fallBehind()
	sub.wait()
}

func (g *group) servePicky() (sent, filtered uint64) {
	s := g.shard
	for i := 0; i < len(g.picky); i++ {
		sub := g.picky[i]
		if sub == nil {
			continue
		}
		c := catchup{next: s.freshFrom, head: s.log.head}
		r := current
		for ok := true; ok && c.next <= c.head; {
			if ok, r = sub.offer(&c, *s.log.at(c.next)); ok {
				c.next++
			}
		}
		sent, filtered = sent+c.sent, filtered+c.filtered
		s.mu.Lock()
		sub.sent += c.sent
		sub.next = c.next
		s.mu.Unlock()
		switch {
		case r == current || g.picky[i] == nil: // the latter has left in its filter
		case r == waiting:
			g.picky[i], g.holes = nil, true
			sub.fallBehind()
			sub.wait()
		case r == failed:
			sub.expel(c.err)
		}
	}
	return sent, filtered
}

// admit puts a subscription that is up to date on its list.
func (g *group) admit(sub *Subscription) {
	switch {
	case sub.state == early:
		sub.place = int32(len(g.early))
		g.early = append(g.early, sub)
	case sub.shape.filter != nil:
		sub.place = int32(len(g.picky))
		g.picky = append(g.picky, sub)
	default:
		sub.place = int32(len(g.live))
		g.live = append(g.live, sub)
		g.out = append(g.out, sub.out)
	}
}

// dismiss takes it off again. While the lists are walked it leaves a hole.
func (g *group) dismiss(sub *Subscription) {
	i := sub.place
	switch {
	case sub.state == early:
		g.early = without(g.early, i)
	case sub.shape.filter != nil && g.busy:
		g.picky[i], g.holes = nil, true
	case sub.shape.filter != nil:
		g.picky = without(g.picky, i)
	case g.busy:
		g.live[i], g.out[i], g.holes = nil, nil, true
	default:
		last := len(g.out) - 1
		g.out[i], g.out[last] = g.out[last], nil
		g.out = g.out[:last]
		g.live = without(g.live, i)
	}
}

// without removes list[i]; the last one takes its place.
func without(list []*Subscription, i int32) []*Subscription {
	last := len(list) - 1
	list[i] = list[last]
	list[i].place = i
	list[last] = nil
	return list[:last]
}

// tidy closes the holes.
func (g *group) tidy() {
	g.holes = false
	gone := func(sub *Subscription) bool { return sub == nil }
	g.out = slices.DeleteFunc(g.out, func(out subscriber) bool { return out == nil })
	g.live = slices.DeleteFunc(g.live, gone)
	g.picky = slices.DeleteFunc(g.picky, gone)
	for i, sub := range g.live {
		sub.place = int32(i)
	}
	for i, sub := range g.picky {
		sub.place = int32(i)
	}
}
