package bounds

// budget counts descriptors. It has no lock.
//
//	0                                              capacity    limit
//	├── untracked ──┬── taken, by class ──┬─ free ─┬─ kept ─┬─ reserve ─┤
//	                                      └────────┘
//	                                        above mark: for those below their share
//
// Kept are the shares of admin and farewell, as far as they do not use them.
// Untracked are those that nobody took here and the kernel knows of. The reserve
// is for what they become between two looks at its count: a log that is opened
// anew, a name that is looked up.
type budget struct {
	limit    int
	capacity int // limit less the reserve: what a load of 1 is
	mark     int // in use, up to which shares do not matter
	shares   [Classes]int

	used      [Classes]int
	taken     int // all of them
	untracked int
	peak      int // most in use since it was last looked at
	overdrawn uint64
}

// reserveOf is the part of a limit that is not handed out: two in a hundred, but
// 64 at least, of a small limit an eighth.
func reserveOf(limit int) int { return min(max(64, limit/50), limit/8) }

// resize makes it one of another limit. mark is a part of the capacity.
func (b *budget) resize(limit, reserve int, mark float64, shares Shares) {
	b.limit, b.capacity = limit, max(limit-reserve, 1)
	b.mark = int(mark * float64(b.capacity))
	b.shares = shares.of(b.capacity)
}

// inUse is how many there are open, or about to be.
func (b *budget) inUse() int { return b.taken + b.untracked }

func (b *budget) load(n int) float64 { return float64(n) / float64(b.capacity) }

// may reports whether class c may have one more.
func (b *budget) may(c Class) bool {
	n, within := b.inUse()+1, b.used[c] < b.shares[c]
	switch {
	case (c == Admin || c == Farewell) && within:
		return n <= b.limit
	case c == Farewell || n > b.capacity-b.kept(c):
		return false
	case c == Admin || n <= b.mark:
		return true
	}
	return within
}

// kept is how many are left for others than c alone.
func (b *budget) kept(c Class) (n int) {
	for _, k := range keeps {
		if k != c {
			n += max(b.shares[k]-b.used[k], 0)
		}
	}
	return n
}

// force counts one whatever there is.
func (b *budget) force(c Class) {
	b.used[c]++
	b.taken++
	b.peak = max(b.peak, b.inUse())
}

// give counts one less. One too many given back is only noted: whoever counts
// wrongly must not have others find too much.
func (b *budget) give(c Class) {
	if b.used[c] == 0 {
		b.overdrawn++
		return
	}
	b.used[c]--
	b.taken--
}

// correct takes in the kernel's count. A descriptor that is counted here before
// it is open makes the untracked too few by one, for the time that it takes to
// open it.
func (b *budget) correct(open int) {
	b.untracked = max(open-b.taken, 0)
	b.peak = max(b.peak, b.inUse())
}

// seen returns the load and its peak since it was called before.
func (b *budget) seen() (load, peak float64) {
	n := b.inUse()
	peak = b.load(max(b.peak, n))
	b.peak = n
	return b.load(n), peak
}
