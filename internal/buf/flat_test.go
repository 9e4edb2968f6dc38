package buf

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// flatModel is a Flat beside a bytes.Buffer that had the same done to it.
type flatModel struct {
	t    testing.TB
	f    Flat
	m    bytes.Buffer
	next byte
}

// fresh returns n bytes unlike those before.
func (x *flatModel) fresh(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = x.next
		x.next += 7
	}
	return p
}

// do takes an operation and a size from two numbers.
func (x *flatModel) do(op byte, n int) {
	switch op % 5 {
	case 0:
		p := x.fresh(n)
		took := x.f.Append(p)
		if took < len(p) && x.f.Len() != MaxStorage {
			x.t.Fatalf("Append took %d of %d with %d there", took, len(p), x.f.Len())
		}
		x.m.Write(p[:took])
	case 1:
		space := x.f.Space(n)
		if len(space) > max(n, 0) {
			x.t.Fatalf("Space(%d) has %d", n, len(space))
		}
		if len(space) < n && x.f.Len()+len(space) != MaxStorage {
			x.t.Fatalf("Space(%d) has %d with %d there", n, len(space), x.f.Len())
		}
		k := copy(space, x.fresh(len(space)-len(space)/3))
		x.f.Commit(k)
		x.m.Write(space[:k])
	case 2:
		x.f.Discard(n)
		x.m.Next(max(min(n, x.m.Len()), 0))
	case 3:
		x.f.Discard(n / 16)
		x.m.Next(max(min(n/16, x.m.Len()), 0))
	case 4:
		if n%8 == 0 {
			x.f.Release()
			x.m.Reset()
			if x.f.Held() != 0 {
				x.t.Fatalf("%d bytes are held after Release", x.f.Held())
			}
		}
	}
	x.check()
}

func (x *flatModel) check() {
	if x.f.Len() != x.m.Len() || !bytes.Equal(x.f.Bytes(), x.m.Bytes()) {
		x.t.Fatalf("%d bytes, want %d; or they differ", x.f.Len(), x.m.Len())
	}
	if h := x.f.Held(); h < x.f.Len() || h > MaxStorage || h&(h-1) != 0 {
		x.t.Fatalf("%d bytes are held for %d", h, x.f.Len())
	}
}

func TestFlatModel(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 2))
		x := &flatModel{t: t}
		for range 400 {
			x.do(byte(r.Uint32()), r.IntN(1<<r.IntN(18)))
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		x.f.Release()
	}
}

func FuzzFlat(f *testing.F) {
	f.Add([]byte{0, 10, 0, 2, 5, 0, 1, 255, 255, 4, 0, 0})
	f.Add(bytes.Repeat([]byte{0, 255, 255, 3, 9, 9}, 20))
	f.Fuzz(func(t *testing.T, tape []byte) {
		if len(tape) > 900 {
			t.Skip("long enough")
		}
		x := &flatModel{t: t}
		for ; len(tape) >= 3; tape = tape[3:] {
			x.do(tape[0], int(tape[1])<<8|int(tape[2]))
		}
		x.f.Release()
	})
}

// Bytes that are consumed make room in place: a buffer through which much goes
// does not grow beyond what was in it at once.
func TestFlatReusesItsFront(t *testing.T) {
	var f Flat
	defer f.Release()
	p := make([]byte, 400)
	for range 1000 {
		f.Append(p)
		f.Discard(350)
		f.Discard(50)
	}
	f.Append(p[:100])
	for range 1000 {
		f.Append(p[:100])
		f.Discard(100)
	}
	if f.Held() != 512 {
		t.Errorf("%d bytes are held", f.Held())
	}
}

func TestFlatIsFull(t *testing.T) {
	var f Flat
	defer f.Release()
	if n := f.Append(make([]byte, MaxStorage+5)); n != MaxStorage {
		t.Errorf("took %d", n)
	}
	if s := f.Space(10); len(s) != 0 {
		t.Errorf("%d bytes of space in a full one", len(s))
	}
	f.Discard(3)
	if s := f.Space(10); len(s) != 3 {
		t.Errorf("%d bytes of space, want 3", len(s))
	}
}

func TestFlatAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random under the race detector")
	}
	var f Flat
	p := make([]byte, 700)
	n := testing.AllocsPerRun(200, func() {
		f.Append(p)
		f.Discard(100)
		f.Append(p)
		f.Discard(2000)
		f.Release()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
