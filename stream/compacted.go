package stream

import "sort"

// compacted is a shard's second log, for Conflate: the newest message of each
// key, in the order of their numbers. It is made when the first such subscriber
// comes.
//
//	slots   3:a  4:b  5:a  6:c  7:b        set(8, c)        5:a  7:b  8:c
//	         ·    ·    ^    ^    ^      ──────────────►    (6 is superseded)
//
// A superseded slot stays, empty, until most of them are: so a cursor is a
// number, and is found by binary search however long it has stood still.
type compacted struct {
	slots []keySlot
	first int            // all slots before it are empty
	index map[string]int // key to its slot
	bytes int            // of the messages held, with their prefixes
	lost  uint64         // last message that was forgotten for want of room, not superseded
}

type keySlot struct {
	seq uint64
	m   *Message // nil: superseded or forgotten
	key string
}

// newCompacted compacts what the log holds.
func newCompacted(l *history, keys, bytes int) *compacted {
	c := &compacted{index: make(map[string]int), lost: l.tail - 1}
	for seq := l.tail; seq <= l.head; seq++ {
		c.set(seq, *l.at(seq))
	}
	c.trim(keys, bytes)
	return c
}

// set adds a message, with a reference of its own. It supersedes the one of the
// same key.
func (c *compacted) set(seq uint64, e published) {
	if i, ok := c.index[e.key]; ok {
		c.empty(i)
	}
	e.m.Retain()
	c.bytes += len(e.m.p)
	c.index[e.key] = len(c.slots)
	c.slots = append(c.slots, keySlot{seq: seq, m: e.m, key: e.key})
}

func (c *compacted) empty(i int) {
	s := &c.slots[i]
	c.bytes -= len(s.m.p)
	s.m.Release()
	s.m, s.key = nil, ""
}

// trim forgets the keys that have not changed for longest until at most so many
// with at most so many bytes are left, and moves the rest together when there
// are more empty slots than others.
func (c *compacted) trim(keys, bytes int) {
	for ; len(c.index) > keys || c.bytes > bytes; c.first++ {
		if s := &c.slots[c.first]; s.m != nil {
			c.lost = s.seq
			delete(c.index, s.key)
			c.empty(c.first)
		}
	}
	if len(c.slots) > 2*len(c.index)+leastRing {
		c.squeeze()
	}
}

func (c *compacted) squeeze() {
	n := 0
	for _, s := range c.slots {
		if s.m != nil {
			c.slots[n] = s
			c.index[s.key] = n
			n++
		}
	}
	clear(c.slots[n:])
	c.slots, c.first = c.slots[:n], 0
	if cap(c.slots) > 4*n+4*leastRing { // after a peak
		c.slots = append(make([]keySlot, 0, 2*n+leastRing), c.slots...)
	}
}

// from returns the slots of message seq and later ones; those without a message
// are to be passed over.
func (c *compacted) from(seq uint64) []keySlot {
	i := sort.Search(len(c.slots), func(i int) bool { return c.slots[i].seq >= seq })
	return c.slots[i:]
}

func (c *compacted) clear() {
	c.trim(0, 0)
	c.slots, c.index = nil, nil
}
