package stream

// list is a queue of streams, by Stream.next.
type list struct{ head, tail *Stream }

// push puts a stream at the end, which must stand in no list.
func (l *list) push(st *Stream) {
	st.flags |= queuedUp
	if l.tail == nil {
		l.head = st
	} else {
		l.tail.next = st
	}
	l.tail = st
}

// pop takes the first one, which must be there.
func (l *list) pop() *Stream {
	st := l.head
	if l.head = st.next; l.head == nil {
		l.tail = nil
	}
	st.next = nil
	st.flags &^= queuedUp
	return st
}

// sweep takes out those that have ended.
func (l *list) sweep() {
	all := *l
	*l = list{}
	for all.head != nil {
		if st := all.pop(); st.flags&ended == 0 {
			l.push(st)
		}
	}
}

// bury notes that a stream has ended that stands in a list. Nobody comes to take
// it out while the connection's window or the link is shut, and a peer may end
// and open streams all the same: those that have ended are taken out when they
// are more than those that have not.
func (s *Session) bury() {
	if s.dead++; s.dead > s.core.Len()+64 {
		s.dead = 0
		s.run.sweep()
		s.ends.sweep()
	}
}

// join puts a stream at the end of the run list, if it does not stand there.
func (s *Session) join(st *Stream) {
	if st.flags&(queuedUp|ended) == 0 {
		st.flags &^= stalled
		s.run.push(st)
	}
}

// joinFirst puts back the stream that was taken last.
func (s *Session) joinFirst(st *Stream) {
	st.flags |= queuedUp
	if st.next = s.run.head; st.next == nil {
		s.run.tail = st
	}
	s.run.head = st
}
