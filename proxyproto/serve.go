package proxyproto

import (
	"errors"
	"net/netip"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/timer"
)

// ErrTime is the cause of a connection whose header did not come in time.
var ErrTime = errors.New("proxyproto: no PROXY header in time")

// Config says whose headers are read.
type Config struct {
	// Trusted are the proxies. Others are passed on without a look at what they
	// send, with a zero Header: whether they may connect is for a listener's
	// Guard to say. Peers on Unix sockets are trusted.
	Trusted []netip.Prefix

	Time time.Duration // that a header may take. 0: 5 s

	Counters *Counters // count what happens. nil: nobody does
}

// Serve returns a conn.Serve that reads the header and then asks next for the
// handler, in the same way as a listener asks its Serve; what comes behind the
// header is the handler's first Data. From the header on the connection is the
// client's: Remote is he, the listener's Guard has been asked about him, and what
// holds for peers from elsewhere (conn.Options.FirstByte, MinRate) holds for him. A
// trusted peer that sends no header is closed with ErrHeader or ErrTime, one whose
// client the Guard does not let in with the Guard's error.
//
// A Guard must let the proxies in (bounds.GuardConfig.Proxies): it is asked about
// them first. A Farewell's peers send a header too: it is to be given to Serve
// likewise.
func (cfg Config) Serve(next func(c *conn.Conn, h Header) conn.Handler) conn.Serve {
	if cfg.Time <= 0 {
		cfg.Time = 5 * time.Second
	}
	if cfg.Counters == nil {
		cfg.Counters = new(Counters)
	}
	cfg.Trusted = unmapped(cfg.Trusted)
	return func(c *conn.Conn) conn.Handler {
		if !cfg.trusts(c.Remote()) {
			cfg.Counters.untrusted.Add(1)
			return next(c, Header{})
		}
		r := &reader{c: c, next: next, count: cfg.Counters}
		r.timer.Init(r)
		c.SetTimer(&r.timer, c.Now().Add(cfg.Time))
		return r
	}
}

// unmapped writes IPv4 prefixes in their mapped form as what they are.
func unmapped(all []netip.Prefix) (list []netip.Prefix) {
	for _, p := range all {
		if addr := p.Addr(); addr.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(addr.Unmap(), p.Bits()-96)
		}
		list = append(list, p)
	}
	return list
}

func (cfg *Config) trusts(peer conn.Addr) bool {
	addr := peer.IP.Addr().Unmap().WithZone("")
	if !addr.IsValid() {
		return true
	}
	for _, p := range cfg.Trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// reader is the handler of a connection until its header is there.
type reader struct {
	c     *conn.Conn
	next  func(c *conn.Conn, h Header) conn.Handler
	count *Counters
	timer timer.Timer
}

// Fire ends a connection whose time is over.
func (r *reader) Fire(timer.Time) {
	r.count.late.Add(1)
	r.c.CloseWith(ErrTime)
}

// Data implements conn.Handler.
func (r *reader) Data(c *conn.Conn) error {
	h, n, err := Parse(c.Peek())
	if err != nil {
		r.count.malformed.Add(1)
		return err
	}
	if n == 0 {
		return nil
	}
	c.Discard(n)
	c.StopTimer(&r.timer)
	r.count.read(h)
	if err := c.SpeaksFor(h.Source); err != nil {
		r.count.refused.Add(1)
		return err
	}
	handler := r.next(c, h)
	if handler == nil {
		c.Close() // has no effect on one that Block has taken over
		return nil
	}
	c.SetHandler(handler)
	if c.Buffered() > 0 {
		return handler.Data(c)
	}
	return nil
}

// Closed implements conn.Handler.
func (r *reader) Closed(c *conn.Conn, _ error) { c.StopTimer(&r.timer) }
