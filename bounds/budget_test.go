package bounds

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func defaultBudget(limit int) *budget {
	var b budget
	var s Shares
	s.setDefaults()
	b.resize(limit, reserveOf(limit), 0.95, s)
	return &b
}

// fill takes of a class until there are none left for it.
func fill(b *budget, c Class) (n int) {
	for ; b.may(c); n++ {
		b.force(c)
	}
	return n
}

func TestReserve(t *testing.T) {
	for limit, want := range map[int]int{8: 1, 256: 32, 512: 64, 1024: 64, 20_000: 400, 1 << 20: 20971} {
		if got := reserveOf(limit); got != want {
			t.Errorf("of %d: %d, want %d", limit, got, want)
		}
	}
}

// TestBorrowing: alone, a class gets more than its share, up to the mark. Above
// it the others have theirs, as far as there are any; and admin always.
func TestBorrowing(t *testing.T) {
	b := defaultBudget(1024) // capacity 960, mark 912; admin 19, farewell 9, client 268, server 432
	if n := fill(b, Server); n != 912 {
		t.Errorf("%d connections alone, want 912", n)
	}
	if n := fill(b, Client); n != 960-19-9-912 {
		t.Errorf("%d of its own connections above the mark, want 20", n)
	}
	if n := fill(b, Other); n != 0 {
		t.Errorf("%d above the capacity", n)
	}
	if n := fill(b, Admin); n != 19 {
		t.Errorf("%d for admin, want 19", n)
	}
	if n := fill(b, Farewell); n != 9 {
		t.Errorf("%d farewells, want 9", n)
	}
	b.correct(b.taken + 64) // somebody has opened what was the reserve
	if b.may(Admin) || b.may(Server) || b.may(Farewell) {
		t.Error("more than the limit")
	}
	for range 5 {
		b.give(Admin)
	}
	b.correct(b.taken + 64)
	if n := fill(b, Admin); n != 5 {
		t.Errorf("%d of the reserve for admin, want 5", n)
	}

	b.give(Admin)
	b.correct(b.taken + 65)
	if b.may(Admin) {
		t.Error("more than the limit for admin, below its share")
	}

	b = defaultBudget(1024)
	if n := fill(b, Admin); n != 951 {
		t.Errorf("%d for admin alone, want 951", n)
	}
	if n := fill(b, Farewell); n != 9 {
		t.Errorf("%d farewells beside admin, want 9", n)
	}

	// What nobody took counts as well.
	b = defaultBudget(1024)
	b.correct(500)
	if n := fill(b, Server); n != 432 {
		t.Errorf("%d connections beside 500 others, want the share of 432", n)
	}
	for range 432 {
		b.give(Server)
	}
	if load, peak := b.seen(); load != 500.0/960 || peak != 932.0/960 {
		t.Errorf("load %v, peak %v", load, peak)
	}
	if _, peak := b.seen(); peak != 500.0/960 {
		t.Errorf("the peak since then is %v", peak)
	}
}

// promised is may in other words.
func promised(b *budget, c Class) bool {
	next := b.inUse() + 1
	ofAdmin, ofFarewell := max(b.shares[Admin]-b.used[Admin], 0), max(b.shares[Farewell]-b.used[Farewell], 0)
	switch c {
	case Admin:
		return ofAdmin > 0 && next <= b.limit || ofAdmin == 0 && next+ofFarewell <= b.capacity
	case Farewell:
		return ofFarewell > 0 && next <= b.limit
	}
	return next+ofAdmin+ofFarewell <= b.capacity && (next <= b.mark || b.used[c] < b.shares[c])
}

// TestBudgetAtRandom against what it promises, at any limit and with any shares.
func TestBudgetAtRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		limit := 8 + r.IntN(2000)
		var b budget
		b.resize(limit, reserveOf(limit), 0.5+r.Float64()/2, Shares{r.Float64() / 10, r.Float64() / 3, r.Float64() / 3, r.Float64() / 3, 0, r.Float64() / 20})
		var held []Class
		for range 3000 {
			switch c := Class(1 + r.IntN(Classes-1)); r.IntN(10) {
			case 0:
				b.correct(max(0, len(held)+r.IntN(limit/8)-3))
			case 1, 2, 3:
				if len(held) > 0 {
					i := r.IntN(len(held))
					b.give(held[i])
					held = slices.Delete(held, i, i+1)
				}
			default:
				may := b.may(c)
				if may != promised(&b, c) {
					t.Fatalf("%s: %v with %+v", c, may, b)
				}
				if may {
					b.force(c)
					held = append(held, c)
				}
			}
			if b.taken != len(held) || b.peak < b.inUse() {
				t.Fatalf("%d held: %+v", len(held), b)
			}
		}
		for _, c := range held {
			b.give(c)
		}
		if b.taken != 0 || b.used != [Classes]int{} || b.overdrawn != 0 {
			t.Fatalf("at the end: %+v", b)
		}
		if b.give(Server); b.overdrawn != 1 || b.taken != 0 {
			t.Fatalf("one too many given back: %+v", b)
		}
	}
}
