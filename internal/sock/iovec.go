package sock

import "unsafe"

// Iovec is one piece of a gathered write, laid out as the kernel's struct
// iovec. It refers to the bytes given to Set and keeps them alive; they must
// not change until Sendv has returned. The zero Iovec is an empty piece.
type Iovec struct {
	base *byte
	n    uintptr
}

// Set makes v refer to p.
func (v *Iovec) Set(p []byte) { v.base, v.n = unsafe.SliceData(p), uintptr(len(p)) }

// Len returns the number of bytes that v refers to.
func (v *Iovec) Len() int { return int(v.n) }

// Bytes returns the bytes that v refers to.
func (v *Iovec) Bytes() []byte { return unsafe.Slice(v.base, v.n) }

// gather returns how many pieces from the front of iov make one Sendv: at most
// MaxIovecs, and at most MaxIO bytes in all. 0 means that the first piece
// alone is larger than that, or that there is none.
func gather(iov []Iovec) int {
	if len(iov) > MaxIovecs {
		iov = iov[:MaxIovecs]
	}
	var sum uintptr
	for i := range iov {
		sum += iov[i].n
		if sum > MaxIO {
			return i
		}
	}
	return len(iov)
}
