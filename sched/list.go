package sched

// A list holds runs in order; a run leaves it from wherever it is. The zero
// value is empty. It belongs to the Scheduler's lock.
type list struct {
	first, last *link
	n           int
}

// A link is a run's place in one list. A run has two of them: one among those
// that may begin or that wait at a gate, and one in its queue, by age.
type link struct {
	r          *run
	in         *list
	prev, next *link
}

// push puts the link at the end.
func (l *list) push(k *link) {
	k.in, k.prev, k.next = l, l.last, nil
	if l.last == nil {
		l.first = k
	} else {
		l.last.next = k
	}
	l.last = k
	l.n++
}

// pop takes the first run, nil if there is none.
func (l *list) pop() *run {
	k := l.first
	if k == nil {
		return nil
	}
	k.leave()
	return k.r
}

// leave takes the link out of its list, if it is in one.
func (k *link) leave() {
	l := k.in
	if l == nil {
		return
	}
	if k.prev == nil {
		l.first = k.next
	} else {
		k.prev.next = k.next
	}
	if k.next == nil {
		l.last = k.prev
	} else {
		k.next.prev = k.prev
	}
	l.n--
	k.in, k.prev, k.next = nil, nil, nil
}
