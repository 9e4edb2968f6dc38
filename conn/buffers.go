package conn

import (
	"sync"
	"unsafe"
)

// Buffers lends buffers for Blocking.ReadPooled. Get's must not be empty; Put
// takes back what Get lent, or a slice with the same start.
type Buffers interface {
	Get() []byte
	Put([]byte)
}

// BufferPool is a Buffers of one size. The zero value lends 4 KiB. Size must
// not change once it is used. Any goroutine.
type BufferPool struct {
	Size int // in bytes. 0: 4 KiB
	pool sync.Pool
}

// Get lends a buffer of Size bytes.
func (b *BufferPool) Get() []byte {
	if p, _ := b.pool.Get().(*byte); p != nil {
		return unsafe.Slice(p, b.size())
	}
	return make([]byte, b.size())
}

// Put takes a buffer of Get's back; other slices would corrupt memory.
func (b *BufferPool) Put(p []byte) {
	if cap(p) >= b.size() {
		b.pool.Put(unsafe.SliceData(p)) // the pointer alone: a slice would allocate
	}
}

func (b *BufferPool) size() int {
	if b.Size <= 0 {
		return 4 << 10
	}
	return b.Size
}
