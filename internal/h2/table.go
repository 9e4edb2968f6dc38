package h2

import (
	"math/bits"
	"math/rand/v2"
)

// table finds streams by identifier: open addressing with linear probing, one
// pointer a slot, at most three slots in four in use. The zero value is empty.
//
// A client chooses its identifiers, so it can choose those whose searches begin
// at the same slot, and make each frame cost as much as there are streams. Where
// a search grows too long, the table is spread anew by a number that the client
// does not know.
type table[O any] struct {
	slots []*Stream[O] // a power of two
	len   int

	salt   uint32 // 0: none was needed
	salted uint32 // number of slots when it was chosen: once for each size is enough
}

// tableMin is the smallest number of slots, and what an emptied table keeps.
const tableMin = 8

// longSearch is how many slots are looked at before that is taken for malice.
const longSearch = 128

// home is where id's search begins. Identifiers are consecutive odd numbers:
// multiplied by the golden ratio they spread evenly, and still do when its low
// bits are others.
func (t *table[O]) home(id uint32) int {
	return int(id * (0x9e3779b9 ^ t.salt) >> (32 - uint(bits.Len(uint(len(t.slots)-1)))))
}

// find returns the stream of an identifier, nil when there is none.
func (t *table[O]) find(id uint32) *Stream[O] {
	if t.len == 0 {
		return nil
	}
	mask := len(t.slots) - 1
	for i := t.home(id); ; i = (i + 1) & mask {
		if s := t.slots[i&mask]; s == nil || s.id == id {
			return s
		}
	}
}

// add puts a stream in, whose identifier must not be there.
func (t *table[O]) add(s *Stream[O]) {
	if 4*(t.len+1) > 3*len(t.slots) {
		t.resize(max(tableMin, 2*len(t.slots)))
	}
	t.len++
	if t.put(s) > longSearch && t.salted != uint32(len(t.slots)) {
		t.salt, t.salted = rand.Uint32()&0xfffe, uint32(len(t.slots))
		t.resize(len(t.slots))
	}
}

// put returns how long the search for s is.
func (t *table[O]) put(s *Stream[O]) int {
	mask := len(t.slots) - 1
	home := t.home(s.id)
	i := home
	for t.slots[i] != nil {
		i = (i + 1) & mask
	}
	t.slots[i] = s
	return (i - home) & mask
}

// remove takes a stream out, which must be there. Those behind it move up, so
// that no search ends early and no grave stays.
func (t *table[O]) remove(s *Stream[O]) {
	mask := len(t.slots) - 1
	hole := t.home(s.id)
	for t.slots[hole] != s {
		hole = (hole + 1) & mask
	}
	for i := (hole + 1) & mask; t.slots[i] != nil; i = (i + 1) & mask {
		// It may fill the hole unless its home lies between the two.
		if h := t.home(t.slots[i].id); (i-h)&mask >= (i-hole)&mask {
			t.slots[hole], hole = t.slots[i], i
		}
	}
	t.slots[hole] = nil
	t.len--
	if n := len(t.slots); n > tableMin && 8*t.len < n {
		t.resize(n / 2)
	}
}

func (t *table[O]) resize(n int) {
	old := t.slots
	t.slots = make([]*Stream[O], n)
	for _, s := range old {
		if s != nil {
			t.put(s)
		}
	}
}

// append appends all streams, in no order.
func (t *table[O]) append(dst []*Stream[O]) []*Stream[O] {
	for _, s := range t.slots {
		if s != nil {
			dst = append(dst, s)
		}
	}
	return dst
}
