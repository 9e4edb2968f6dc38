package stream

// catchup is one pull: what it moves and counts, on the stack until commit.
type catchup struct {
	next, head uint64
	stop       uint64
	gap        uint64

	sent, dropped, superseded, filtered uint64
	gaps                                uint32
	err                                 error // of a user's function
}

func (c *catchup) behind() uint64 {
	if c.next > c.head {
		return 0
	}
	return c.head + 1 - c.next
}

// drop moves the cursor over messages that the subscriber will not get.
func (c *catchup) drop(to uint64) {
	if c.gap == 0 {
		c.gap = c.next
	}
	c.dropped += to - c.next
	c.next = to
}

type outcome uint8

const (
	waiting outcome = iota // a push was refused: pull comes again
	current                // all that the group has had is sent
	tooSlow                // the policy ends it
	failed                 // a user's function panicked: see catchup.err
)

// pull sends what the subscription is behind with. Loop only, between begin and
// flush.
func (sub *Subscription) pull(*Stream) {
	if sub.state != behind {
		return
	}
	c := catchup{next: sub.next, head: sub.group.head, gap: sub.gap}
	if sub.more != nil {
		c.stop = sub.more.stop
	}
	result := sub.catchUp(&c)
	if sub.state != behind {
		return // left meanwhile, and was counted out
	}
	sub.commit(&c)
	switch result {
	case waiting:
		sub.wait()
	case current:
		sub.upToDate()
	case tooSlow:
		sub.expel(statusSlow)
	case failed:
		sub.expel(c.err)
	}
}

// catchUp pushes, in this order: the snapshot, the gap marker, the log.
func (sub *Subscription) catchUp(c *catchup) outcome {
	for {
		if !sub.sendSnapshot() {
			return waiting
		}
		again, err := sub.outdated(c)
		if err != nil {
			c.err = err
			return failed
		}
		if !again {
			break
		}
	}
	if !sub.adjust(c) {
		return tooSlow
	}
	for {
		if done, result := sub.tell(c); !done {
			return result
		}
		if done, result := sub.sendLog(c); !done {
			return result
		}
		if c.stop == 0 {
			return current
		}
		c.skipHole()
	}
}

// tell sends the gap marker that is owed. Until it has gone it grows with what
// is lost meanwhile.
func (sub *Subscription) tell(c *catchup) (done bool, r outcome) {
	if c.gap == 0 {
		return true, current
	}
	if sub.shape.topic.cfg.Gap != nil {
		p, err := sub.shape.marker(c.gap, c.next-1)
		if err != nil {
			c.err = err
			return false, failed
		}
		m := NewMessage(p)
		pushed := sub.out.push(m)
		m.Release()
		if !pushed {
			return false, waiting
		}
	}
	c.gap = 0
	c.gaps++
	return true, current
}

// sendLog pushes up to the group's head, or to where DropNewest has its hole.
func (sub *Subscription) sendLog(c *catchup) (done bool, r outcome) {
	if sub.shape.policy == Conflate {
		return sub.sendKeyed(c)
	}
	last := c.head
	if c.stop != 0 {
		last = c.stop - 1
	}
	for log := &sub.group.shard.log; c.next <= last; c.next++ {
		if ok, r := sub.offer(c, *log.at(c.next)); !ok {
			return false, r
		}
	}
	return true, current
}

// sendKeyed does the same with the compacted log. Messages that the group has
// not had yet are left to it.
func (sub *Subscription) sendKeyed(c *catchup) (done bool, r outcome) {
	for _, s := range sub.group.shard.keyed.from(c.next) {
		if s.seq > c.head {
			break
		}
		if s.m == nil {
			continue
		}
		c.pass(s.seq)
		if ok, r := sub.offer(c, published{s.m, s.key}); !ok {
			return false, r
		}
		c.next = s.seq + 1
	}
	c.pass(max(c.next, c.head+1))
	return true, current
}

// pass moves the cursor over superseded messages.
func (c *catchup) pass(to uint64) {
	c.superseded += to - c.next
	c.next = to
}

// offer pushes one message, unless the filter has it passed over.
func (sub *Subscription) offer(c *catchup, e published) (ok bool, r outcome) {
	if sub.shape.filter != nil {
		pass, err := sub.shape.wants(e)
		if err != nil {
			c.err = err
			return false, failed
		}
		if !pass {
			c.filtered++
			return true, current
		}
	}
	if !sub.out.push(e.m) {
		return false, waiting
	}
	c.sent++
	return true, current
}

// commit makes what the pull has done visible.
func (sub *Subscription) commit(c *catchup) {
	if x := sub.more; x != nil || c.stop != 0 || c.superseded != 0 {
		x = sub.extra()
		x.stop = c.stop
	}
	s := sub.group.shard
	s.mu.Lock()
	sub.next, sub.gap = c.next, c.gap
	sub.sent += c.sent
	sub.dropped += c.dropped
	sub.gaps += c.gaps
	if c.superseded != 0 {
		sub.more.superseded += c.superseded
	}
	s.tally.Delivered += c.sent
	s.tally.Dropped[sub.shape.policy] += c.dropped
	s.tally.Gaps += uint64(c.gaps)
	s.tally.Superseded += c.superseded
	s.tally.Filtered += c.filtered
	s.mu.Unlock()
	if sub.holds && !sub.full() {
		sub.release()
		s.watch(sub)
	}
}
