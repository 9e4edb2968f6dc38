package timer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// stage is a heap with four timers that write their names when they fire.
type stage struct {
	Heap
	a, b, c, d Timer
	fired      string
	then       map[string]func(now Time) // what a timer does besides
}

func newStage() *stage {
	s := &stage{then: map[string]func(Time){}}
	for name, t := range map[string]*Timer{"a": &s.a, "b": &s.b, "c": &s.c, "d": &s.d} {
		t.Init(Func(func(now Time) {
			s.fired += name
			if f := s.then[name]; f != nil {
				f(now)
			}
		}))
	}
	return s
}

// TestOrder has each case set timers and say what each Advance is to fire.
func TestOrder(t *testing.T) {
	type advance struct {
		now  Time
		want string
	}
	for _, test := range []struct {
		name     string
		do       func(s *stage)
		advances []advance
	}{
		{
			"by instant",
			func(s *stage) { s.Set(&s.a, 3); s.Set(&s.b, 1); s.Set(&s.c, 2) },
			[]advance{{0, ""}, {1, "b"}, {3, "ca"}, {9, ""}},
		}, {
			"equal ones as they were set",
			func(s *stage) { s.Set(&s.c, 5); s.Set(&s.a, 5); s.Set(&s.d, 5); s.Set(&s.b, 5) },
			[]advance{{5, "cadb"}},
		}, {
			"set again to the same instant is set last",
			func(s *stage) { s.Set(&s.a, 5); s.Set(&s.b, 5); s.Set(&s.a, 5) },
			[]advance{{5, "ba"}},
		}, {
			"moved later among equals",
			func(s *stage) { s.Set(&s.a, 1); s.Set(&s.b, 5); s.Set(&s.a, 5); s.Set(&s.c, 5) },
			[]advance{{5, "bac"}},
		}, {
			"moved later",
			func(s *stage) { s.Set(&s.a, 1); s.Set(&s.a, 7) },
			[]advance{{6, ""}, {7, "a"}},
		}, {
			"moved later, then half back",
			func(s *stage) { s.Set(&s.a, 1); s.Set(&s.a, 9); s.Set(&s.a, 5) },
			[]advance{{4, ""}, {5, "a"}, {9, ""}},
		}, {
			"moved earlier",
			func(s *stage) { s.Set(&s.b, 4); s.Set(&s.a, 9); s.Set(&s.a, 2) },
			[]advance{{2, "a"}, {9, "b"}},
		}, {
			"past and zero instants",
			func(s *stage) { s.Set(&s.a, 0); s.Set(&s.b, -5) },
			[]advance{{1, "ba"}},
		}, {
			"never",
			func(s *stage) { s.Set(&s.a, Never); s.Set(&s.b, 1) },
			[]advance{{Never - 1, "b"}},
		}, {
			"now going back",
			func(s *stage) { s.Set(&s.a, 5); s.Set(&s.b, 9) },
			[]advance{{6, "a"}, {2, ""}, {9, "b"}},
		}, {
			"stopped by another that is due",
			func(s *stage) {
				s.Set(&s.a, 1)
				s.Set(&s.b, 1)
				s.then["a"] = func(Time) { s.Stop(&s.b) }
			},
			[]advance{{1, "a"}, {2, ""}},
		}, {
			"sets itself to now",
			func(s *stage) { s.Set(&s.a, 1); s.then["a"] = func(now Time) { s.Set(&s.a, now) } },
			[]advance{{1, "a"}, {1, "a"}, {3, "a"}},
		}, {
			"sets one that is due anew",
			func(s *stage) {
				s.Set(&s.a, 1)
				s.Set(&s.b, 2)
				s.Set(&s.c, 3)
				s.then["a"] = func(Time) { s.Set(&s.b, 0) }
			},
			[]advance{{3, "ac"}, {3, "b"}},
		}, {
			"puts one that is due off",
			func(s *stage) {
				s.Set(&s.a, 1)
				s.Set(&s.b, 2)
				s.then["a"] = func(Time) { s.Set(&s.b, 8) }
			},
			[]advance{{3, "a"}, {7, ""}, {8, "b"}},
		}, {
			"stops what it set into the past",
			func(s *stage) {
				s.Set(&s.a, 1)
				s.then["a"] = func(Time) {
					s.Set(&s.b, 0)
					s.Set(&s.c, 0)
					s.Set(&s.d, 0)
					s.Stop(&s.b)
					s.Set(&s.c, 1)
					s.Stop(&s.d)
				}
			},
			[]advance{{1, "a"}, {1, "c"}},
		}, {
			"advances inside Fire",
			func(s *stage) {
				s.Set(&s.a, 1)
				s.Set(&s.b, 1)
				s.then["a"] = func(now Time) {
					if n := s.Advance(now); n != 0 {
						s.fired += "!"
					}
				}
			},
			[]advance{{1, "ab"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage()
			test.do(s)
			for _, adv := range test.advances {
				s.fired = ""
				n := s.Advance(adv.now)
				if s.fired != adv.want || n != len(adv.want) {
					t.Fatalf("Advance(%d) fired %q and returned %d, want %q", adv.now, s.fired, n, adv.want)
				}
			}
		})
	}
}

func TestStop(t *testing.T) {
	s := newStage()
	if s.Stop(&s.a) {
		t.Error("Stop of a timer that was never set says it was active")
	}
	s.Set(&s.a, 4)
	if !s.a.Active() || s.a.When() != 4 || s.Len() != 1 {
		t.Errorf("after Set: active %v, when %d, len %d", s.a.Active(), s.a.When(), s.Len())
	}
	if !s.Stop(&s.a) || s.a.Active() || s.Len() != 0 {
		t.Error("Stop did not stop")
	}
	if s.Stop(&s.a) {
		t.Error("second Stop says it was active")
	}
	if n := s.Advance(9); n != 0 {
		t.Errorf("a stopped timer fired: %d", n)
	}
}

func TestNext(t *testing.T) {
	s := newStage()
	next := func(want Time, wantOK bool) {
		t.Helper()
		if when, ok := s.Next(); ok != wantOK || ok && when != want {
			t.Fatalf("Next is %d, %v; want %d, %v", when, ok, want, wantOK)
		}
	}
	next(0, false)
	s.Set(&s.a, 7)
	next(7, true)
	s.Set(&s.b, 3)
	next(3, true)
	s.Set(&s.b, 9)
	s.Set(&s.b, 5)
	next(3, true) // early, for b was only noted
	if n := s.Advance(3); n != 0 {
		t.Fatalf("%d fired before their instant", n)
	}
	next(5, true) // and has moved on
	s.Stop(&s.b)
	next(7, true)
	// From inside Fire it knows what was set into the past.
	s.then["a"] = func(now Time) {
		s.Set(&s.c, now+10)
		s.Set(&s.b, now-1)
		next(now-1, true)
		if s.Len() != 2 || !s.b.Active() {
			t.Errorf("inside Fire: len %d, b active %v", s.Len(), s.b.Active())
		}
	}
	s.Advance(7)
	next(6, true)
}

func TestFireSeesItself(t *testing.T) {
	s := newStage()
	s.then["a"] = func(now Time) {
		if now != 9 || s.a.When() != 4 || s.a.Active() {
			t.Errorf("inside Fire: now %d, when %d, active %v", now, s.a.When(), s.a.Active())
		}
	}
	s.Set(&s.a, 4)
	s.Advance(9)
	if s.fired != "a" {
		t.Fatalf("fired %q", s.fired)
	}
}

// TestPanickingFire leaves an Advance in the middle; the next one goes on.
func TestPanickingFire(t *testing.T) {
	s := newStage()
	for i, x := range []*Timer{&s.a, &s.b, &s.c} {
		s.Set(x, Time(i))
	}
	s.then["b"] = func(now Time) {
		s.Set(&s.d, now) // into the past, then
		panic("b")
	}
	func() {
		defer func() {
			if got := recover(); got != "b" {
				t.Errorf("recovered %v, want the panic of Fire", got)
			}
		}()
		s.Advance(5)
	}()
	if s.fired != "ab" || s.Len() != 2 || s.b.Active() {
		t.Fatalf("fired %q, %d left, b active %v", s.fired, s.Len(), s.b.Active())
	}
	if n := s.Advance(5); n != 2 || s.fired != "abcd" {
		t.Fatalf("then fired %d: %q, want the rest in order", n, s.fired)
	}
}

func TestMisuse(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func()
		want string
	}{
		{"no Init", func() {
			var h Heap
			h.Set(new(Timer), 1)
		}, "timer: Set before Init"},
		{"another heap", func() {
			var other Heap
			s := newStage()
			s.Set(&s.a, 1)
			other.Set(&s.b, 1)
			other.Stop(&s.a)
		}, "timer: Timer copied while set, or set in another heap"},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				if got := recover(); got != test.want {
					t.Errorf("panic %v, want %q", got, test.want)
				}
			}()
			test.do()
		})
	}
}

// TestShrinks checks both ways out of a peak.
func TestShrinks(t *testing.T) {
	const peak = 100_000
	for _, test := range []struct {
		name  string
		drain func(h *Heap, ts []Timer)
	}{
		{"fired", func(h *Heap, ts []Timer) { h.Advance(peak) }},
		{"stopped", func(h *Heap, ts []Timer) {
			for i := range ts {
				h.Stop(&ts[i])
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, ts := filled(peak)
			for i := range ts {
				h.Set(&ts[i], Time(i))
			}
			test.drain(h, ts)
			if h.Len() != 0 || cap(h.entries) > keep {
				t.Errorf("%d left, room for %d kept", h.Len(), cap(h.entries))
			}
			if slices.ContainsFunc(h.entries[:cap(h.entries)], func(e entry) bool { return e.t != nil }) {
				t.Error("a timer that is gone is still held")
			}
		})
	}
}

// TestNoAllocs holds the steady state: as many timers go as come.
func TestNoAllocs(t *testing.T) {
	h, ts := filled(1000)
	extra := &ts[0]
	h.Stop(extra)
	now := Time(0)
	ticker := &ts[1]
	ticker.Init(Func(func(now Time) { h.Set(ticker, now+1) }))
	again := &ts[2]
	again.Init(Func(func(now Time) { h.Set(again, now) })) // by way of the late list
	h.Set(ticker, 1)
	h.Set(again, 1)
	for name, f := range map[string]func(){
		"set and stop": func() { h.Set(extra, 5); h.Stop(extra) },
		"push on":      func() { h.Set(&ts[9], ts[9].When()+1) },
		"advance":      func() { now++; h.Advance(now) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if now == 0 || h.Len() != 999 {
		t.Fatalf("the timers are not what they were: %d set at %d", h.Len(), now)
	}
}

// TestStampWraps has the 32 bits that a timer keeps of its number come round.
func TestStampWraps(t *testing.T) {
	for _, before := range []uint64{0, 1, 5, 40} {
		t.Run(fmt.Sprint(before), func(t *testing.T) {
			s := newStage()
			s.seq = 1<<32 - before
			s.Set(&s.a, 1)
			s.Set(&s.b, 9)
			s.Set(&s.a, 9)
			for range 4 {
				s.Set(&s.c, 9)
			}
			s.Set(&s.d, 9)
			s.Set(&s.b, 9)
			if s.Advance(9); s.fired != "acdb" {
				t.Errorf("fired %q", s.fired)
			}
		})
	}
	t.Run("to the same", func(t *testing.T) {
		s := newStage()
		s.Set(&s.a, 1)
		s.seq += 1<<32 - 1
		s.Set(&s.a, 9)
		if s.Advance(8); s.fired != "" {
			t.Errorf("fired %q before its instant", s.fired)
		}
	})
}

// TestNoAllocsFar holds the same for timers that go through the levels: they
// are set from a second to a day ahead, come up, and set themselves again.
func TestNoAllocsFar(t *testing.T) {
	h, ts := filled(20_000)
	ahead := func(i int) time.Duration { return time.Second << (i % 16) }
	set := 0
	for i := range ts {
		ts[i].Init(Func(func(now Time) {
			set++
			h.Set(&ts[i], now.Add(ahead(i)))
		}))
		h.Set(&ts[i], h.now.Add(ahead(i)))
	}
	h.Advance(h.now.Add(48 * time.Hour)) // storage grows to what it takes
	set = 0
	now, i := h.now, 0
	for name, f := range map[string]func(){
		"set and stop": func() { i++; h.Stop(&ts[i]); h.Set(&ts[i], now.Add(ahead(i+1))) },
		"push on":      func() { i++; h.Set(&ts[i], ts[i].When()+Time(time.Hour)) },
		"advance":      func() { now = now.Add(100 * time.Millisecond); h.Advance(now) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if set == 0 || h.Len() != len(ts) || h.levels.n < len(ts)/2 {
		t.Fatalf("the timers are not what they were: %d fired, %d set, %d in the levels", set, h.Len(), h.levels.n)
	}
}
