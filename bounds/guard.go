package bounds

import (
	"errors"
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

	// Exempt are let in without regard to what follows: balancers and proxies,
	// say, behind whom are many.
	Exempt []netip.Prefix

	Conns int     // open at once from one source. 0: no limit
	Rate  float64 // new ones a second from one source, in the long run. 0: no limit
	Burst int     // new ones at once after a pause. 0: twice what Rate makes a second, 1 at least

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
)

// ErrGuard is what NewGuard answers to a number below zero, or to more bits than
// an address has.
var ErrGuard = errors.New("bounds: a guard cannot be like that")

// Guard keeps a listener's door. Its methods may be called from any goroutine;
// several listeners may share one.
type Guard struct {
	cfg                 GuardConfig
	deny, allow, exempt prefixes
	every               time.Duration // between new ones of a source, in the long run
	slack               time.Duration // that the burst may run ahead of that

	mu      sync.Mutex
	sources map[netip.Prefix]source
	stats   GuardStats
}

// source is what is known of one.
type source struct {
	open int32
	due  timer.Time // when all that came would have come at the rate
}

// GuardStats counts what a Guard has done.
type GuardStats struct {
	Sources   int // remembered now
	Let       uint64
	Denied    uint64
	Conns     uint64 // refused for GuardConfig.Conns
	Rate      uint64 // and for its Rate
	Unwatched uint64 // let in although there was no room to remember them
}

// NewGuard makes one. Errors: ErrGuard.
func NewGuard(cfg GuardConfig) (*Guard, error) {
	if cfg.Conns < 0 || !(cfg.Rate >= 0) || cfg.Burst < 0 || cfg.Sources < 0 ||
		cfg.Bits4 < 0 || cfg.Bits4 > 32 || cfg.Bits6 < 0 || cfg.Bits6 > 128 {
		return nil, ErrGuard
	}
	setUnset(&cfg.Burst, max(int(2*cfg.Rate), 1))
	setUnset(&cfg.Bits4, 32)
	setUnset(&cfg.Bits6, 64)
	setUnset(&cfg.Sources, 1<<16)
	g := &Guard{cfg: cfg, sources: make(map[netip.Prefix]source)}
	for set, from := range map[*prefixes][]netip.Prefix{&g.deny: cfg.Deny, &g.allow: cfg.Allow, &g.exempt: cfg.Exempt} {
		if err := set.add(from); err != nil {
			return nil, err
		}
	}
	if cfg.Rate > 0 {
		g.every = max(time.Duration(float64(time.Second)/cfg.Rate), 1)
		g.slack = g.every * time.Duration(cfg.Burst-1)
	}
	return g, nil
}

func setUnset(n *int, unset int) {
	if *n == 0 {
		*n = unset
	}
}

// Enter asks for one that has connected from addr at the instant now. Who gets nil
// calls Leave, once, with the same address, when the connection has ended. An
// address that is none (of a Unix socket) is let in. The errors are ErrDenied,
// ErrConns and ErrRate.
func (g *Guard) Enter(addr netip.Addr, now timer.Time) error {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
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
	}
	return err
}

func (g *Guard) enter(addr netip.Addr, now timer.Time) error {
	if g.deny.has(addr) || len(g.cfg.Allow) > 0 && !g.allow.has(addr) {
		return ErrDenied
	}
	if !g.watches(addr) {
		return nil
	}
	key := g.sourceOf(addr)
	s, known := g.sources[key]
	switch {
	case !known && len(g.sources) >= g.cfg.Sources && !g.forget(now):
		g.stats.Unwatched++
		return nil
	case g.cfg.Conns > 0 && int(s.open) >= g.cfg.Conns:
		return ErrConns
	case g.every > 0:
		s.due = max(s.due, now)
		if s.due.Sub(now) > g.slack {
			return ErrRate
		}
		s.due = s.due.Add(g.every)
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

// watches reports whether there is anything to remember of addr.
func (g *Guard) watches(addr netip.Addr) bool {
	return (g.cfg.Conns > 0 || g.every > 0) && !g.exempt.has(addr)
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

// prefixes is a set of them. To look an address up takes as long as there are
// lengths of prefixes, however many prefixes there are.
type prefixes struct {
	lengths4, lengths6 []int
	all                map[netip.Prefix]struct{}
}

func (s *prefixes) add(all []netip.Prefix) error {
	s.all = make(map[netip.Prefix]struct{}, len(all))
	var has4, has6 [129]bool
	for _, p := range all {
		if !p.IsValid() {
			return ErrGuard
		}
		if addr := p.Addr(); addr.Is4In6() { // ::ffff:10.0.0.0/104 is 10.0.0.0/8
			if p.Bits() < 96 {
				return ErrGuard
			}
			p = netip.PrefixFrom(addr.Unmap(), p.Bits()-96)
		}
		lengths, has := &s.lengths6, &has6
		if p.Addr().Is4() {
			lengths, has = &s.lengths4, &has4
		}
		if bits := p.Bits(); !has[bits] {
			has[bits] = true
			*lengths = append(*lengths, bits)
		}
		s.all[p.Masked()] = struct{}{}
	}
	return nil
}

func (s *prefixes) has(addr netip.Addr) bool {
	lengths := s.lengths6
	if addr.Is4() {
		lengths = s.lengths4
	}
	for _, bits := range lengths {
		p, _ := addr.Prefix(bits) // not more than it has
		if _, has := s.all[p]; has {
			return true
		}
	}
	return false
}
