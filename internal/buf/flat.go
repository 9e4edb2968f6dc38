package buf

// Flat is a contiguous queue of bytes in pooled storage. The zero value is
// empty and holds no storage.
type Flat struct {
	b    []byte // storage, full length
	r, w int    // unread bytes are b[r:w]
}

// Len returns the number of unread bytes.
func (f *Flat) Len() int { return f.w - f.r }

// Held returns the bytes of storage in use, for budgets.
func (f *Flat) Held() int { return len(f.b) }

// Bytes returns the unread bytes: valid until the next call on f.
func (f *Flat) Bytes() []byte { return f.b[f.r:f.w] }

// Discard drops the first n unread bytes; n above Len drops all. The storage
// stays until Release.
func (f *Flat) Discard(n int) {
	f.r += min(max(n, 0), f.Len())
	if f.r == f.w {
		f.r, f.w = 0, 0
	}
}

// Space returns room for up to want more bytes, to be filled and then counted
// by Commit. It is shorter than want when Len+want is above MaxStorage, and
// empty when Len is MaxStorage.
func (f *Flat) Space(want int) []byte {
	if len(f.b)-f.w < want {
		f.grow(want)
	}
	return f.b[f.w:min(f.w+want, len(f.b))]
}

// Commit says that the first n bytes of Space's slice were filled.
func (f *Flat) Commit(n int) { f.w += n }

// Append copies p behind the unread bytes and returns how much there was room
// for: less than len(p) only when MaxStorage is reached.
func (f *Flat) Append(p []byte) int {
	n := copy(f.Space(len(p)), p)
	f.w += n
	return n
}

// Release gives the storage back and leaves f empty.
func (f *Flat) Release() {
	if f.b != nil {
		Put(f.b)
	}
	*f = Flat{}
}

// grow makes room for want bytes behind w: by moving the unread bytes to the
// front when that is enough, by larger storage otherwise.
func (f *Flat) grow(want int) {
	n := f.Len()
	if n+want <= len(f.b) || len(f.b) == MaxStorage {
		copy(f.b, f.b[f.r:f.w])
		f.r, f.w = 0, n
		return
	}
	b := Get(n + want)
	copy(b, f.b[f.r:f.w])
	if f.b != nil {
		Put(f.b)
	}
	f.b, f.r, f.w = b, 0, n
}
