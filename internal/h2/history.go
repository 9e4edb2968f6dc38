package h2

// fate is how a stream ended.
type fate uint8

const (
	unknown  fate = iota // forgotten
	never                // it was not opened: a higher identifier was
	ended                // END_STREAM both ways
	resetOut             // by our RST_STREAM: the peer may have sent more before it saw that
	resetIn              // by the peer's
	unwanted             // above our GOAWAY: to be ignored
)

// history remembers how the last streams ended, so that a late frame gets the
// answer it deserves. A forgotten stream gets the mildest.
type history struct {
	last  [16]uint32 // identifier (always odd) / 2 * 8 + fate
	count uint32     // ever
}

func (h *history) add(id uint32, f fate) {
	h.last[h.count%uint32(len(h.last))] = id>>1<<3 | uint32(f)
	h.count++
}

// of returns the fate of a stream whose identifier is at most the highest seen,
// and which is not in the table.
func (h *history) of(id uint32) fate {
	for _, e := range h.last {
		if e != 0 && e>>3 == id>>1 {
			return fate(e & 7)
		}
	}
	if h.count <= uint32(len(h.last)) {
		return never
	}
	return unknown
}
