package buf

import (
	"math/bits"
	"sync"
	"unsafe"
)

// Storage comes in powers of two from 512 bytes to 256 KiB, one sync.Pool a
// size: the garbage collector empties them, so a burst costs memory only until
// the next collections, and nothing needs tuning.
const (
	minClass = 9  // 512 B
	maxClass = 18 // 256 KiB

	// MinStorage is the smallest piece of storage that Get hands out, in bytes.
	MinStorage = 1 << minClass

	// MaxStorage is the largest piece of storage that Get hands out, in bytes.
	MaxStorage = 1 << maxClass
)

var pools [maxClass + 1]sync.Pool

// Get returns storage of at least n bytes (its length is its capacity, a power
// of two). n above MaxStorage is cut to MaxStorage. The caller owns it until
// Put.
func Get(n int) []byte {
	class := classOf(n)
	if p, _ := pools[class].Get().(*byte); p != nil {
		return unsafe.Slice(p, 1<<class)
	}
	return make([]byte, 1<<class)
}

// Put gives storage back that came from Get; b must start where Get's slice
// started. The caller must not touch it afterwards. Storage of another size, as
// append leaves it, is left to the collector: in the pool it would come out
// larger than it is.
func Put(b []byte) {
	if n := cap(b); n < 1<<minClass || n > MaxStorage || n&(n-1) != 0 {
		return
	}
	// The pointer alone goes into the interface: a slice there would allocate.
	pools[classOf(cap(b))].Put(unsafe.SliceData(b))
}

func classOf(n int) int {
	if n <= 1<<minClass {
		return minClass
	}
	return min(bits.Len(uint(n-1)), maxClass)
}
