package bounds

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/weir-go/weir/timer"
)

// GuardConfig says who may connect, and how often. The zero value lets everybody
// in.
type GuardConfig struct {
	Deny  []netip.Prefix // nobody of these, whatever Allow says
	Allow []netip.Prefix // nobody but these. Empty: everybody

	// Proxies are let in whatever is said here: they say for whom they speak, and
	// the Guard is asked about him then (conn.Conn.SpeaksFor). They are those that
	// proxyproto.Config.Trusted names, and nobody else.
	Proxies []netip.Prefix

	// Exempt are let in without regard to what follows: balancers that do not say
	// for whom they speak, say, and networks behind one address.
	Exempt []netip.Prefix

	Conns int     // open at once from one source. 0: no limit
	Rate  float64 // new ones a second from one source, in the long run. 0: no limit
	Burst int     // new ones at once after a pause. 0: twice what Rate makes a second, 1 at least

	Accepts float64 // new ones a second from all sources together, in the long run. 0: no limit
	Crowd   int     // of them at once after a pause. 0: what Accepts makes a second, 1 at least

	Bits4 int // what a source is: so many bits of an IPv4 address. 0: 32
	Bits6 int // and of an IPv6 address. 0: 64, which is what one customer has

	// Sources is how many are remembered at once; those that have nothing open
	// and have paused are forgotten first. When all are needed others are let in
	// without Conns and Rate, and counted. 0: 65536.
	Sources int
}

// What a Guard refuses with.
var (
	ErrDenied = errors.New("bounds: the address is not let in")
	ErrConns  = errors.New("bounds: too many connections from one source")
	ErrRate   = errors.New("bounds: too many new connections from one source")
	ErrCrowd  = errors.New("bounds: too many new connections")
)

// ErrGuard is what NewGuard answers to a number below zero, to more bits than an
// address has, and to a prefix that is none. It is wrapped in what says which value
// is wrong, and what it has to be.
var ErrGuard = errors.New("bounds: a guard cannot be like that")

// Guard keeps a listener's door. Its methods may be called from any goroutine;
// several listeners may share one.
type Guard struct {
	cfg GuardConfig

	deny, allow, exempt, proxies prefixes

	source pace // of each source
	crowd  pace // of all together

	mu      sync.Mutex // guards what follows, for a look at a map
	due     timer.Time // when all of the crowd would have come at its pace
	sources map[netip.Prefix]source
	stats   GuardStats
}

// source is what is known of one.
type source struct {
	open int32
	due  timer.Time // when all that came would have come at the pace
}

// pace is how fast new ones may come. Zero: as fast as they like.
type pace struct {
	every time.Duration // between two, in the long run
	slack time.Duration // that a burst may run ahead of that
}

func paceOf(rate float64, burst int) (p pace) {
	if rate > 0 {
		every := max(float64(time.Second)/rate, 1)
		p.every = time.Duration(min(every, longest))
		p.slack = time.Duration(min(every*float64(burst-1), longest))
	}
	return p
}

// longest is a time of 73 years: a clock can count to the sum of two.
const longest = 1 << 61

// next is when all will have come at the pace once another one has, who comes
// now; false when that is too early for him.
func (p pace) next(due, now timer.Time) (timer.Time, bool) {
	if p.every == 0 {
		return due, true
	}
	due = max(due, now)
	return due.Add(p.every), due.Sub(now) <= p.slack
}

// GuardStats counts what a Guard has done.
type GuardStats struct {
	Sources   int    // remembered now: those with connections, and those who came lately
	Let       uint64 // let in, proxies not among them
	Proxies   uint64 // connections of GuardConfig.Proxies, let in until they say for whom they speak
	Denied    uint64 // refused for GuardConfig.Deny or Allow
	Conns     uint64 // for its Conns
	Rate      uint64 // for its Rate
	Crowd     uint64 // and for its Accepts
	Unwatched uint64 // let in without Conns and Rate, for there was no room to remember them
}

// NewGuard makes one. Errors: ErrGuard.
func NewGuard(cfg GuardConfig) (*Guard, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	setUnset(&cfg.Burst, int(min(max(2*cfg.Rate, 1), math.MaxInt32)))
	setUnset(&cfg.Crowd, int(min(max(cfg.Accepts, 1), math.MaxInt32)))
	setUnset(&cfg.Bits4, 32)
	setUnset(&cfg.Bits6, 64)
	setUnset(&cfg.Sources, 1<<16)
	g := &Guard{cfg: cfg, sources: make(map[netip.Prefix]source),
		source: paceOf(cfg.Rate, cfg.Burst), crowd: paceOf(cfg.Accepts, cfg.Crowd)}
	for _, list := range []struct {
		name string
		set  *prefixes
		from []netip.Prefix
	}{{"Deny", &g.deny, cfg.Deny}, {"Allow", &g.allow, cfg.Allow}, {"Exempt", &g.exempt, cfg.Exempt}, {"Proxies", &g.proxies, cfg.Proxies}} {
		if err := list.set.add(list.name, list.from); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// check looks at the numbers.
func (cfg *GuardConfig) check() error {
	for _, n := range []struct {
		name  string
		value float64
		most  float64
	}{
		{"Conns", float64(cfg.Conns), math.Inf(1)},
		{"Rate", cfg.Rate, math.Inf(1)},
		{"Burst", float64(cfg.Burst), math.Inf(1)},
		{"Accepts", cfg.Accepts, math.Inf(1)},
		{"Crowd", float64(cfg.Crowd), math.Inf(1)},
		{"Bits4", float64(cfg.Bits4), 32},
		{"Bits6", float64(cfg.Bits6), 128},
		{"Sources", float64(cfg.Sources), math.Inf(1)},
	} {
		switch {
		case !(n.value >= 0): // or not a number
			return fmt.Errorf("%w: %s is %v, and has to be 0 at least", ErrGuard, n.name, n.value)
		case n.value > n.most:
			return fmt.Errorf("%w: %s is %v, and may be %v at most", ErrGuard, n.name, n.value, n.most)
		}
	}
	return nil
}

func setUnset(n *int, unset int) {
	if *n == 0 {
		*n = unset
	}
}

// Enter asks for one that has connected from addr at the instant now. Who gets nil
// calls Leave, once, with the same address, when the connection has ended. An
// address that is none (of a Unix socket) is let in. The errors are ErrDenied,
// ErrConns, ErrRate and ErrCrowd.
func (g *Guard) Enter(addr netip.Addr, now timer.Time) error {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.proxies.has(addr) {
		g.stats.Proxies++
		return nil
	}
	err := g.enter(addr, now)
	switch err {
	case nil:
		g.stats.Let++
	case ErrDenied:
		g.stats.Denied++
	case ErrConns:
		g.stats.Conns++
	case ErrRate:
		g.stats.Rate++
	case ErrCrowd:
		g.stats.Crowd++
	}
	return err
}

// enter is Enter for whoever is no proxy. mu is held. The crowd is looked at last:
// who is refused for himself takes nobody's place in it.
func (g *Guard) enter(addr netip.Addr, now timer.Time) error {
	if g.deny.has(addr) || len(g.cfg.Allow) > 0 && !g.allow.has(addr) {
		return ErrDenied
	}
	if g.exempt.has(addr) {
		return nil
	}
	due, inTime := g.crowd.next(g.due, now)
	if !g.watchesSources() {
		if inTime {
			g.due = due
			return nil
		}
		return ErrCrowd
	}
	key := g.sourceOf(addr)
	s, known := g.sources[key]
	full := !known && len(g.sources) >= g.cfg.Sources && !g.forget(now)
	if !full {
		if g.cfg.Conns > 0 && int(s.open) >= g.cfg.Conns {
			return ErrConns
		}
		var ok bool
		if s.due, ok = g.source.next(s.due, now); !ok {
			return ErrRate
		}
	}
	if !inTime {
		return ErrCrowd
	}
	g.due = due
	if full {
		g.stats.Unwatched++
		return nil
	}
	s.open++
	g.sources[key] = s
	return nil
}

// Leave says that a connection which was let in has ended.
func (g *Guard) Leave(addr netip.Addr, now timer.Time) {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.watches(addr) {
		return
	}
	key := g.sourceOf(addr)
	s, known := g.sources[key]
	if !known || s.open == 0 { // it was let in unwatched
		return
	}
	if s.open--; s.over(now) {
		delete(g.sources, key)
		return
	}
	g.sources[key] = s
}

// over reports whether there is nothing left to remember.
func (s source) over(now timer.Time) bool { return s.open == 0 && s.due <= now }

// watchesSources reports whether there is anything to remember of anybody.
func (g *Guard) watchesSources() bool { return g.cfg.Conns > 0 || g.source.every > 0 }

// watches reports whether there is anything to remember of addr.
func (g *Guard) watches(addr netip.Addr) bool {
	return g.watchesSources() && !g.exempt.has(addr) && !g.proxies.has(addr)
}

// forget makes room for one source, with a look at some. It is true when it has
// made some.
func (g *Guard) forget(now timer.Time) (room bool) {
	looks := 64
	for key, s := range g.sources {
		if s.over(now) {
			delete(g.sources, key)
			room = true
		}
		if looks--; looks == 0 {
			break
		}
	}
	return room
}

func (g *Guard) sourceOf(addr netip.Addr) netip.Prefix {
	bits := g.cfg.Bits6
	if addr.Is4() {
		bits = g.cfg.Bits4
	}
	p, _ := addr.Prefix(bits) // not more than it has
	return p
}

// Stats returns the counts.
func (g *Guard) Stats() GuardStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.stats
	s.Sources = len(g.sources)
	return s
}
