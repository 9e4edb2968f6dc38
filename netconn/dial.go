package netconn

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
)

// The defaults of a Dialer.
const (
	fallbackDefault = 250 * time.Millisecond // RFC 8305, section 5
	maxAddrsDefault = 8
)

// Dialer connects to names and addresses as a net.Dialer does. Its DialContext
// fits http.Transport, redis.Options.Dialer and, with the network filled in,
// grpc.WithContextDialer.
//
// A name's addresses are raced as RFC 8305 ("Happy Eyeballs") says: IPv6 and
// IPv4 in turns, the next one started when the last has failed or has taken
// FallbackDelay; the first connection wins and the others are aborted.
//
// A Dialer may be used by any number of goroutines and must not be changed
// while it is. It must not be called on a loop: it waits.
type Dialer struct {
	Runtime *conn.Runtime // whose loops the connections live on; must be set
	Options conn.Options  // of the connections
	Class   bounds.Class  // that conn.Config.Bounds counts them as. 0: bounds.Client

	// Allow, if set, is asked before each dial, with its address, and told by done
	// what came of it: (*breaker.Breakers).Allow is one. An error of Allow's is
	// found in that of the dial.
	Allow func(address string) (done func(error), err error)

	LocalAddr     net.Addr      // *net.TCPAddr or *net.UnixAddr to connect from. nil: the system's choice
	Resolver      *net.Resolver // nil: net.DefaultResolver
	Timeout       time.Duration // for all of it, resolving too. 0: the context's alone
	FallbackDelay time.Duration // 0: 250 ms; negative: one address after the other
	MaxAddrs      int           // addresses tried for one name. 0: 8
}

// Dial is DialContext without a context.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects; the net.Conn is a *Conn. network is "tcp", "tcp4",
// "tcp6" ("host:port", the port a number or a service's name) or "unix" (a
// path). ctx ends the dialing and has no influence on the connection.
//
// An error is a *net.OpError. Where several addresses failed it holds an error
// for each, and errors.Is and errors.As look into all of them.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if d.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Timeout)
		defer cancel()
	}
	c, err := d.allowed(ctx, network, address)
	if err != nil {
		return nil, dialError(ctx, network, err)
	}
	return c, nil
}

// allowed asks Allow, and tells it what came of the dial. A caller who left is no
// fault of the destination, whatever the dial ended with.
func (d *Dialer) allowed(ctx context.Context, network, address string) (*Conn, error) {
	if d.Allow == nil {
		return d.dial(ctx, network, address)
	}
	done, err := d.Allow(address)
	if err != nil {
		return nil, err
	}
	c, err := d.dial(ctx, network, address)
	if ctx.Err() == context.Canceled {
		done(ctx.Err())
	} else {
		done(err)
	}
	return c, err
}

func (d *Dialer) dial(ctx context.Context, network, address string) (*Conn, error) {
	r := &race{
		rt:      d.Runtime,
		options: d.Options,
		class:   d.Class,
		local:   d.LocalAddr,
		stagger: orDefault(d.FallbackDelay, fallbackDefault),
		most:    max(orDefault(d.MaxAddrs, maxAddrsDefault), 1),
	}
	switch network {
	case "unix":
		return r.run(ctx, func(context.Context) { r.add(answer{addrs: []conn.Addr{conn.Unix(address)}}) })
	case "tcp", "tcp4", "tcp6":
		port, host, err := d.split(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return r.run(ctx, func(ctx context.Context) { d.resolve(ctx, r, network, host, port) })
	}
	return nil, net.UnknownNetworkError(network)
}

// split takes "host:port" apart and looks a named port up.
func (d *Dialer) split(ctx context.Context, network, address string) (port uint16, host string, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return 0, "", err
	}
	n, err := d.resolver().LookupPort(ctx, network, service)
	return uint16(n), host, err
}

func (d *Dialer) resolver() *net.Resolver {
	if d.Resolver != nil {
		return d.Resolver
	}
	return net.DefaultResolver
}

// resolve finds host's addresses and gives them to r: at once if host is one,
// otherwise when the lookups, one for each family, have answered.
func (d *Dialer) resolve(ctx context.Context, r *race, network, host string, port uint16) {
	if ips, ok := literal(host); ok {
		r.add(answer{addrs: usable(network, ips, port)})
		return
	}
	for _, f := range [...]struct{ network, lookup string }{{"tcp6", "ip6"}, {"tcp4", "ip4"}} {
		if network != "tcp" && network != f.network {
			continue
		}
		r.lookups++
		go func() {
			ips, err := d.resolver().LookupNetIP(ctx, f.lookup, host)
			r.answers <- answer{addrs: usable(f.network, ips, port), err: err}
		}()
	}
}

// literal returns the address that host spells, if it does. No host, and the
// unspecified address, mean this machine, as for package net.
func literal(host string) (ips []netip.Addr, ok bool) {
	v4, v6 := netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()
	if host == "" {
		return []netip.Addr{v4, v6}, true
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return nil, false
	case ip == netip.IPv4Unspecified():
		ip = v4
	case ip == netip.IPv6Unspecified():
		// A listener on 0.0.0.0 is reached this way too.
		return []netip.Addr{v6, v4}, true
	}
	return []netip.Addr{ip.Unmap()}, true
}

// usable keeps the addresses that network admits.
func usable(network string, ips []netip.Addr, port uint16) []conn.Addr {
	var addrs []conn.Addr
	for _, ip := range ips {
		ip = ip.Unmap()
		if network == "tcp4" && !ip.Is4() || network == "tcp6" && ip.Is4() {
			continue
		}
		addrs = append(addrs, conn.TCP(netip.AddrPortFrom(ip, port)))
	}
	return addrs
}
