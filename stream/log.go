package stream

// published is a message with its key.
type published struct {
	m   *Message
	key string
}

// history holds the last messages by their sequence numbers, and a reference to
// each. A topic has one, and each of its shards has its own of the same
// messages, to be read without a lock.
//
//	     tail            head
//	─ ─ ─ ┌───┬───┬───┬───┐
//	gone  │ 5 │ 6 │ 7 │ 8 │ ◄─ add
//	─ ─ ─ └───┴───┴───┴───┘
//	a number & mask = its place in the ring, which grows as it is used
type history struct {
	ring  []published // a power of two
	tail  uint64      // first message held; head+1 when there is none
	head  uint64      // last message added
	bytes int         // of the messages held, with their prefixes
}

const leastRing = 8

func newHistory(head uint64) history { return history{tail: head + 1, head: head} }

func (l *history) len() int { return int(l.head + 1 - l.tail) }

// at returns a message that is held.
func (l *history) at(seq uint64) *published { return &l.ring[seq&uint64(len(l.ring)-1)] }

// add takes over the caller's reference.
func (l *history) add(e published) {
	if l.len() == len(l.ring) {
		l.grow()
	}
	l.head++
	*l.at(l.head) = e
	l.bytes += len(e.m.p)
}

func (l *history) grow() {
	old := *l
	l.ring = make([]published, max(leastRing, 2*len(old.ring)))
	for seq := l.tail; seq <= l.head; seq++ {
		*l.at(seq) = *old.at(seq)
	}
}

// trim forgets the oldest messages until at most count of them with at most so
// many bytes are left.
func (l *history) trim(count, bytes int) {
	for l.len() > 0 && (l.len() > count || l.bytes > bytes) {
		e := l.at(l.tail)
		l.bytes -= len(e.m.p)
		e.m.Release()
		*e = published{}
		l.tail++
	}
}

// clear forgets everything; the numbers go on.
func (l *history) clear() {
	l.trim(0, 0)
	l.ring = nil
}

// clone copies the history, with references of its own.
func (l *history) clone() history {
	c := *l
	c.ring = append([]published(nil), l.ring...)
	for seq := c.tail; seq <= c.head; seq++ {
		c.at(seq).m.Retain()
	}
	return c
}
