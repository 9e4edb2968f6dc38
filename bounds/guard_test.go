package bounds

import (
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/timer"
)

func guard(t testing.TB, cfg GuardConfig) *Guard {
	t.Helper()
	g, err := NewGuard(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func prefixList(all ...string) (p []netip.Prefix) {
	for _, s := range all {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func TestWhoIsLetIn(t *testing.T) {
	g := guard(t, GuardConfig{
		Deny:  prefixList("10.1.0.0/16", "2001:db8:bad::/48", "::ffff:192.168.7.0/120"),
		Allow: prefixList("10.0.0.0/8", "2001:db8::/32", "192.168.0.1/16", "203.0.113.7/32"),
	})
	for addr, want := range map[string]error{
		"10.0.0.1":           nil,
		"::ffff:10.0.0.1":    nil,
		"10.1.2.3":           ErrDenied,
		"::ffff:10.1.2.3":    ErrDenied,
		"11.0.0.1":           ErrDenied,
		"192.168.9.9":        nil,
		"192.168.7.9":        ErrDenied,
		"203.0.113.7":        nil,
		"203.0.113.8":        ErrDenied,
		"2001:db8::1":        nil,
		"2001:db8:bad::1":    ErrDenied,
		"2001:db9::1":        ErrDenied,
		"2001:db8:1::1%eth0": nil,
		"::1":                ErrDenied,
	} {
		if err := g.Enter(netip.MustParseAddr(addr), 1); err != want {
			t.Errorf("%s: %v, want %v", addr, err, want)
		}
	}
	if err := g.Enter(netip.Addr{}, 1); err != nil {
		t.Errorf("a Unix socket: %v", err)
	}
	if s := g.Stats(); s.Let != 6 || s.Denied != 8 || s.Sources != 0 {
		t.Errorf("%+v", s)
	}
}

// TestConnsOfASource: an IPv6 source is its 64 bits, an IPv4 one the address; who
// is exempt has no limit.
func TestConnsOfASource(t *testing.T) {
	g := guard(t, GuardConfig{Conns: 2, Exempt: prefixList("10.9.0.0/16")})
	enter := func(addr string, want error) {
		t.Helper()
		if err := g.Enter(netip.MustParseAddr(addr), 1); err != want {
			t.Errorf("%s: %v, want %v", addr, err, want)
		}
	}
	enter("10.0.0.1", nil)
	enter("10.0.0.1", nil)
	enter("::ffff:10.0.0.1", ErrConns)
	enter("10.0.0.2", nil)
	enter("2001:db8::1", nil)
	enter("2001:db8::2", nil)
	enter("2001:db8::3", ErrConns)
	enter("2001:db8:0:1::3", nil)
	for range 10 {
		enter("10.9.0.1", nil)
	}
	g.Leave(netip.MustParseAddr("10.0.0.1"), 1)
	enter("10.0.0.1", nil)
	enter("10.0.0.1", ErrConns)
	g.Leave(netip.MustParseAddr("10.9.0.1"), 1)
	g.Leave(netip.MustParseAddr("10.0.0.9"), 1) // never came
	g.Leave(netip.Addr{}, 1)
	if s := g.Stats(); s.Conns != 3 || s.Sources != 4 {
		t.Errorf("%+v", s)
	}
}

// TestRateOfASource: a burst, then so many a second.
func TestRateOfASource(t *testing.T) {
	g := guard(t, GuardConfig{Rate: 10, Burst: 5})
	addr := netip.MustParseAddr("10.0.0.1")
	let := func(now timer.Time, n int) (let int) {
		for range n {
			if g.Enter(addr, now) == nil {
				g.Leave(addr, now)
				let++
			}
		}
		return let
	}
	now := timer.Time(1)
	for i, step := range []struct {
		after time.Duration
		want  int
	}{
		{0, 5}, {0, 0}, {99 * time.Millisecond, 0}, {time.Millisecond, 1}, {200 * time.Millisecond, 2},
		{time.Hour, 5}, {450 * time.Millisecond, 4}, {50 * time.Millisecond, 1},
	} {
		now = now.Add(step.after)
		if n := let(now, 100); n != step.want {
			t.Errorf("step %d: %d let in, want %d", i, n, step.want)
		}
	}
	if s := g.Stats(); s.Sources != 1 || s.Rate == 0 {
		t.Errorf("%+v: it is remembered while it has come too often", s)
	}
	now = now.Add(time.Hour)
	g.Enter(addr, now)
	g.Leave(addr, now.Add(time.Second))
	if s := g.Stats(); s.Sources != 0 {
		t.Errorf("%+v: it is remembered for ever", s)
	}
}

// TestCrowd: all together have a pace too, in which those who are refused for
// themselves take no place, nor those who are exempt.
func TestCrowd(t *testing.T) {
	for _, conns := range []int{0, 1} {
		g := guard(t, GuardConfig{Accepts: 10, Crowd: 3, Conns: conns, Deny: prefixList("10.9.0.0/16"), Exempt: prefixList("10.8.0.0/16")})
		now := timer.Time(1)
		addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) }
		enter := func(a netip.Addr, want error) {
			t.Helper()
			if err := g.Enter(a, now); err != want {
				t.Errorf("conns %d: %v: %v, want %v", conns, a, err, want)
			}
		}
		enter(addr(1), nil)
		enter(addr(2), nil)
		for range 10 {
			enter(netip.MustParseAddr("10.9.0.1"), ErrDenied)
			enter(netip.MustParseAddr("10.8.0.1"), nil)
			if conns > 0 {
				enter(addr(1), ErrConns)
			}
		}
		enter(addr(3), nil)
		enter(addr(4), ErrCrowd)
		now = now.Add(100 * time.Millisecond)
		enter(addr(4), nil)
		enter(addr(5), ErrCrowd)
		if conns > 0 { // who was refused with the crowd has nothing to his name
			now = now.Add(time.Second)
			enter(addr(5), nil)
		}
		if s := g.Stats(); s.Crowd != 2 || s.Sources != 5*conns {
			t.Errorf("conns %d: %+v", conns, s)
		}
	}
}

// TestProxies are let in whatever is said about others: whom they speak for is
// asked about later.
func TestProxies(t *testing.T) {
	g := guard(t, GuardConfig{Proxies: prefixList("10.0.0.0/8"), Deny: prefixList("10.0.0.0/8", "192.0.2.0/24"),
		Allow: prefixList("192.0.0.0/8"), Conns: 1, Rate: 1, Burst: 1, Accepts: 1})
	proxy, client := netip.MustParseAddr("::ffff:10.0.0.1"), netip.MustParseAddr("192.0.3.1")
	for range 5 {
		if err := g.Enter(proxy, 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		addr netip.Addr
		want error
	}{{netip.MustParseAddr("192.0.2.7"), ErrDenied}, {client, nil}, {client, ErrConns}} {
		if err := g.Enter(step.addr, 1); err != step.want {
			t.Errorf("%v: %v, want %v", step.addr, err, step.want)
		}
	}
	g.Leave(proxy, 1)
	if s := g.Stats(); s != (GuardStats{Sources: 1, Let: 1, Proxies: 5, Denied: 1, Conns: 1}) {
		t.Errorf("%+v", s)
	}
}

// TestClocksOfLoops: who comes in on another loop may come with an instant that is
// before the last one's.
func TestClocksOfLoops(t *testing.T) {
	g := guard(t, GuardConfig{Conns: 10})
	for i := range 5 {
		if err := g.Enter(netip.MustParseAddr("10.0.0.1"), timer.Time(10-i)); err != nil {
			t.Error(err)
		}
	}
}

// TestManySources do not fill the memory: those that are over make room, and
// others are let in unwatched.
func TestManySources(t *testing.T) {
	g := guard(t, GuardConfig{Conns: 1, Rate: 1, Burst: 1, Sources: 100})
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
	for i := range 150 {
		if err := g.Enter(addr(i), 1); err != nil {
			t.Fatal(err)
		}
	}
	if s := g.Stats(); s.Sources != 100 || s.Unwatched != 50 {
		t.Errorf("%+v", s)
	}
	for i := range 150 {
		g.Leave(addr(i), 1)
	}
	if s := g.Stats(); s.Sources != 100 {
		t.Errorf("%+v: their rate is to be remembered", s)
	}
	later := timer.Time(1).Add(time.Minute)
	for i := range 100 {
		if err := g.Enter(addr(1000+i), later); err != nil {
			t.Fatal(err)
		}
	}
	// Room is made by a look at 64 of them, so now and then there seems to be none.
	if s := g.Stats(); s.Sources > 100 || s.Unwatched > 50+36 {
		t.Errorf("%+v", s)
	}
	if err := g.Enter(addr(1000), later.Add(time.Hour)); err != ErrConns {
		t.Error(err)
	}
}

// TestGuardAtRandom against a model: what is open of each source, and the instants
// at which each came.
func TestGuardAtRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		conns, burst := 1+r.IntN(5), 1+r.IntN(5)
		const rate = 4
		g := guard(t, GuardConfig{Conns: conns, Rate: rate, Burst: burst})
		open, credit, seen := map[netip.Addr]int{}, map[netip.Addr]float64{}, map[netip.Addr]timer.Time{}
		now := timer.Time(1)
		for range 2000 {
			now = now.Add(time.Duration(r.IntN(100)) * time.Millisecond)
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(4))})
			if r.IntN(3) == 0 {
				if open[a] > 0 {
					g.Leave(a, now)
					open[a]--
				}
				continue
			}
			if seen[a] == 0 {
				credit[a] = float64(burst)
			} else {
				credit[a] = min(float64(burst), credit[a]+rate*now.Sub(seen[a]).Seconds())
			}
			seen[a] = now
			var want error
			switch {
			case open[a] >= conns:
				want = ErrConns
			case credit[a] < 1-1e-6:
				want = ErrRate
			default:
				open[a]++
				credit[a]--
			}
			if err := g.Enter(a, now); err != want {
				t.Fatalf("%v at %v: %v, want %v", a, now, err, want)
			}
		}
		for a, n := range open {
			for range n {
				g.Leave(a, now.Add(time.Hour))
			}
		}
		for a := range seen { // those that had left before their rate was over
			if g.Enter(a, now.Add(time.Hour)) == nil {
				g.Leave(a, now.Add(2*time.Hour))
			}
		}
		if s := g.Stats(); s.Sources != 0 {
			t.Fatalf("%+v", s)
		}
	}
}

func TestGuardThatCannotBe(t *testing.T) {
	const positive = ", and has to be 0 at least"
	for _, c := range []struct {
		cfg  GuardConfig
		says string
	}{
		{GuardConfig{Conns: -1}, "Conns is -1" + positive},
		{GuardConfig{Rate: -0.5}, "Rate is -0.5" + positive},
		{GuardConfig{Rate: math.NaN()}, "Rate is NaN" + positive},
		{GuardConfig{Burst: -1}, "Burst is -1" + positive},
		{GuardConfig{Accepts: -1}, "Accepts is -1" + positive},
		{GuardConfig{Accepts: math.NaN()}, "Accepts is NaN" + positive},
		{GuardConfig{Crowd: -1}, "Crowd is -1" + positive},
		{GuardConfig{Sources: -1}, "Sources is -1" + positive},
		{GuardConfig{Bits4: 33}, "Bits4 is 33, and may be 32 at most"},
		{GuardConfig{Bits6: 129}, "Bits6 is 129, and may be 128 at most"},
		{GuardConfig{Bits4: -1}, "Bits4 is -1" + positive},
		{GuardConfig{Bits6: -1}, "Bits6 is -1" + positive},
		{GuardConfig{Deny: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), {}}}, "Deny[1] is no prefix"},
		{GuardConfig{Allow: prefixList("::ffff:0:0/95")}, "Allow[0] is ::ffff:0.0.0.0/95, and has to have 96 bits"},
		{GuardConfig{Exempt: []netip.Prefix{{}}}, "Exempt[0] is no prefix"},
		{GuardConfig{Proxies: []netip.Prefix{{}}}, "Proxies[0] is no prefix"},
	} {
		if _, err := NewGuard(c.cfg); !errors.Is(err, ErrGuard) || !strings.Contains(err.Error(), ": "+c.says) {
			t.Errorf("%v, want %s", err, c.says)
		}
	}
}

func BenchmarkGuard(b *testing.B) {
	g := guard(b, GuardConfig{Conns: 100, Rate: 1e9, Deny: prefixList("192.0.2.0/24", "198.51.100.0/24", "10.0.0.0/8")})
	addr := netip.MustParseAddr("203.0.113.1")
	for range b.N {
		if g.Enter(addr, 1) == nil {
			g.Leave(addr, 1)
		}
	}
}

// TestPaceOfAnySize: numbers that no clock can count to mean what they say, and not
// the opposite.
func TestPaceOfAnySize(t *testing.T) {
	for _, test := range []struct {
		cfg GuardConfig
		let int // of three, a second apart
	}{
		{GuardConfig{Rate: 1e-12}, 1},
		{GuardConfig{Accepts: 1e-300, Crowd: 2}, 2},
		{GuardConfig{Rate: 10, Burst: math.MaxInt}, 3},
		{GuardConfig{Rate: 0.1, Burst: math.MaxInt32}, 3},
		{GuardConfig{Accepts: 1e9, Crowd: math.MaxInt}, 3},
		{GuardConfig{Rate: math.Inf(1), Accepts: math.MaxFloat64}, 3},
	} {
		g, let := guard(t, test.cfg), 0
		for i := range 3 {
			if g.Enter(netip.MustParseAddr("203.0.113.7"), timer.Time(time.Hour).Add(time.Duration(i)*time.Second)) == nil {
				let++
			}
		}
		if let != test.let {
			t.Errorf("%+v: %d were let in, want %d", test.cfg, let, test.let)
		}
	}
}
