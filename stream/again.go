package stream

import "github.com/weir-go/weir/internal/h2"

// keep holds on to a message that has been sent, until the peer has answered
// something: a stream that it refuses is opened again elsewhere.
func (o *outgoing) keep(b *Buffer) {
	n := b.size()
	o.st.queued.Add(-int32(min(n, 1<<30)))
	if o.kept == nil {
		o.kept = b
	} else {
		o.keptLast.next = b
	}
	o.keptLast = b
	if o.keptBytes += n; o.keptBytes > o.client.cfg.SendLimit {
		o.commit()
	}
}

// commit lets go of what was kept: from here on the stream cannot begin anew.
func (o *outgoing) commit() {
	o.sure = true
	s := o.st.sess
	for b := o.kept; b != nil; {
		next := b.next
		b.next = nil
		s.release(b.size())
		b.Release()
		b = next
	}
	o.kept, o.keptLast, o.keptBytes = nil, nil, 0
}

// transfer moves n counted bytes from one session's account to another's.
func transfer(n int, from, to *Session) {
	from.held.Add(int64(-n))
	to.held.Add(int64(n))
}

// rewind makes what was sent and what is queued the queue again. It returns its
// bytes.
func (o *outgoing) rewind() (n int) {
	st := o.st
	if o.kept != nil {
		o.keptLast.next = st.head
		if st.head == nil {
			st.tail = o.keptLast
		}
		st.head = o.kept
		st.queued.Add(int32(o.keptBytes))
	}
	o.kept, o.keptLast, o.keptBytes = nil, nil, 0
	for b := st.head; b != nil; b = b.next {
		b.at = 0
		n += b.size()
	}
	return n
}

// depart takes a refused stream off its session, so that it can be opened again
// on another. On the loop; the stream is closed already for package h2.
func (o *outgoing) depart() {
	st, limbo := o.st, o.client.limbo
	s := st.sess
	st.dropIn()
	s.unlist(st)
	st.stopDeadline()
	transfer(o.rewind(), s, limbo)
	st.owed = 0
	st.flags &= sendDone | serving | paused | hasHalf | hasDrained | wanting
	s.tally.done++ // it will be counted again
	s.streamLeft()
	o.client.departed(o)
	o.mu.Lock()
	st.sess = limbo
	o.at.Store(limbo)
	left := s.put(command{st: st, op: opLeft})
	o.mu.Unlock()
	if !left {
		o.client.requeue(o)
	}
}

// unlist takes a stream off the lists of its session.
func (s *Session) unlist(st *Stream) {
	if st.flags&queuedUp != 0 {
		all := s.run
		s.run = list{}
		for x := all.head; x != nil; {
			next := x.next
			x.next = nil
			x.flags &^= queuedUp
			if x != st {
				s.join(x)
			}
			x = next
		}
	}
	for i, x := range s.told {
		if x == st {
			s.told = append(s.told[:i], s.told[i+1:]...)
			break
		}
	}
}

// stray is a command that reaches a session which its stream has left. The last
// one sets the stream free.
func (o *outgoing) stray(s *Session, c command) {
	switch c.op {
	case opLeft:
		o.client.requeue(o)
		return
	case opSend:
		transfer(c.ref.(*Buffer).size(), s, o.client.limbo)
	}
	o.late = append(o.late, c)
}

// bounced is a stream that was placed on a session which has ended, or drains.
func (o *outgoing) bounced() { o.client.bounce(o) }

// perish ends a stream that is on no session.
func (o *outgoing) perish(status *Status) {
	st := o.st
	if st.handler == nil || o.client.post.Post(0, func() { o.die(status) }) != nil {
		o.die(status)
	}
}

func (o *outgoing) die(status *Status) {
	st := o.st
	o.mu.Lock()
	o.over = true
	left := append(o.late, o.pending...)
	o.late, o.pending = nil, nil
	o.mu.Unlock()
	st.flags |= ended
	st.final = status
	st.marks.Or(markEnded | markFinished | markHeader)
	for _, c := range left {
		c.drop()
	}
	st.dropQueue()
	o.ended()
	o.client.count.failed.Add(1)
	if c := st.call.Load(); c != nil {
		c.end(status)
	}
	if h := st.handler; h != nil {
		st.handler = nil
		st.tellClosed(h, status)
	}
	o.client.finished(o)
}

// settleOn ends limbo: the session takes over what has gathered.
func (o *outgoing) settleOn(s *Session) {
	st, limbo := o.st, o.client.limbo
	for b := st.head; b != nil; b = b.next {
		transfer(b.size(), limbo, s)
	}
	if st.head != nil || st.flags&sendDone != 0 {
		s.join(st)
	}
	for _, c := range o.gathered() {
		if c.op == opSend {
			transfer(c.ref.(*Buffer).size(), limbo, s)
		}
		st.obey(c)
	}
	o.takeOver(s)
	st.roomy()
	if why := o.cancelled(); why != nil { // while nobody would have heard of it
		st.reset(h2.Cancel, why)
	}
}

// gathered returns what was left while the stream had no session.
func (o *outgoing) gathered() []command {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := append(o.late, o.pending...)
	o.late, o.pending = nil, nil
	return all
}

// takeOver settles the stream. What was left meanwhile goes to the session's
// inbox, in order: a stream that posts to itself does not hold the loop.
func (o *outgoing) takeOver(s *Session) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.at.Store(s)
	for _, c := range o.pending {
		if c.op == opSend {
			transfer(c.ref.(*Buffer).size(), o.client.limbo, s)
		}
		s.put(c) // on its loop, with the session alive
	}
	o.pending = nil
	if o.alarm != nil {
		o.alarm.Stop()
		o.alarm = nil
	}
}
