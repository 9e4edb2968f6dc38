package buf

import (
	"testing"
	"unsafe"
)

// Get's storage has room for what was asked, is a power of two, and is not
// larger than it has to be.
func TestGetSizes(t *testing.T) {
	for _, n := range []int{-1, 0, 1, 511, 512, 513, 1000, 1024, 1025, 4096, 65535, 65536, 65537, MaxStorage - 1, MaxStorage, MaxStorage + 1, 10 * MaxStorage} {
		b := Get(n)
		if len(b) != cap(b) || len(b)&(len(b)-1) != 0 {
			t.Errorf("Get(%d): length %d, capacity %d", n, len(b), cap(b))
		}
		if want := min(n, MaxStorage); len(b) < want {
			t.Errorf("Get(%d) has %d", n, len(b))
		}
		if len(b) > 512 && len(b)/2 >= n {
			t.Errorf("Get(%d) has %d, half of it would do", n, len(b))
		}
		if len(b) < 512 || len(b) > MaxStorage {
			t.Errorf("Get(%d) has %d", n, len(b))
		}
		Put(b)
	}
}

// What Put takes back is handed out again in its size, whatever slice of it was
// put, as long as it starts at the start.
func TestPutSizes(t *testing.T) {
	for class := minClass; class <= maxClass; class++ {
		b := Get(1 << class)
		Put(b[:1])
		if c := Get(1 << class); len(c) != 1<<class {
			t.Errorf("class %d: %d bytes", class, len(c))
		}
	}
	Put(make([]byte, 100)) // too small to be Get's: left to the collector
	Put(nil)
	if b := Get(1); len(b) != 512 {
		t.Errorf("%d bytes", len(b))
	}
}

// Two owners never have the same storage.
func TestGetIsExclusive(t *testing.T) {
	seen := map[*byte]bool{}
	for range 100 {
		b := Get(1000)
		if p := unsafe.SliceData(b); seen[p] {
			t.Fatal("storage was handed out twice")
		} else {
			seen[p] = true
		}
	}
}

// What append made of it does not come back as more than it is.
func TestPutTakesItsOwnSizesOnly(t *testing.T) {
	for _, n := range []int{0, 1, 511, 513, 1280, 3 << 9, MaxStorage - 1, MaxStorage + 1, 2 * MaxStorage} {
		for range 100 { // under the race detector a pool drops some
			Put(make([]byte, n))
		}
		class := classOf(n)
		for range 100 {
			b := Get(1 << class)
			clear(b) // writes past the end of what is smaller: checkptr and the collector notice
			if cap(b) != 1<<class || len(b) != 1<<class {
				t.Fatalf("%d bytes came back as %d of %d", n, len(b), cap(b))
			}
		}
	}
}
