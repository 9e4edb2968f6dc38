package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/weir-go/weir/conn"
)

// resolve reads an address. Package conn knows numbers; names are looked up
// here, by the system's resolver.
func resolve(ctx context.Context, s string) (conn.Addr, error) {
	at, err := conn.ParseAddr(s)
	if err == nil {
		return at, nil
	}
	host, service, splitErr := net.SplitHostPort(strings.TrimPrefix(s, "tcp://"))
	if splitErr != nil || host == "" {
		return conn.Addr{}, fmt.Errorf("%q is no address: they look like tcp://127.0.0.1:9000, localhost:9000 or unix:///run/echo.sock", s)
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", service)
	if err != nil {
		return conn.Addr{}, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return conn.Addr{}, err
	}
	for _, ip := range ips { // IPv4 if there is any: that is where most listen
		if ip = ip.Unmap(); ip.Is4() {
			return conn.TCP(netip.AddrPortFrom(ip, uint16(port))), nil
		}
	}
	return conn.TCP(netip.AddrPortFrom(ips[0], uint16(port))), nil
}

// reachable is at as a peer on this machine would write it: a server on all
// addresses is reached on the loopback one.
func reachable(at conn.Addr) conn.Addr {
	if !at.IsUnix() && at.IP.Addr().IsUnspecified() {
		return conn.TCP(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.IP.Port()))
	}
	return at
}

// url is at with its scheme, as -listen and -drive take it.
func url(at conn.Addr) string { return at.Network() + "://" + at.String() }

// listenAdvice says what to do about an address, given by a flag, that can't be
// listened on.
func listenAdvice(flag string, at conn.Addr, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && at.IsUnix():
		return fmt.Errorf("%w\n  another process listens on %s: end it, or choose another path with -%s", err, at, flag)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w\n  another process listens on %v: `ss -ltnp 'sport = :%d'` shows which.\n"+
			"  Choose another port with -%s tcp://%v:%d, or 0 for a free one",
			err, at, at.IP.Port(), flag, at.IP.Addr(), at.IP.Port()+1)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w\n  this user may not listen on %v: ports below 1024 need a privilege, "+
			"a Unix socket a directory that can be written to", err, at)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w\n  this machine has no address %v: `ip addr` shows which it has", err, at.IP.Addr())
	}
	return err
}

// dialAdvice says what to do about a server that can't be reached.
func dialAdvice(at conn.Addr, err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%w\n  nobody listens there: start a server with `%s -listen %s`", err, me(), url(at))
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("%w\n  raise the limit of open files with `ulimit -n`, or use fewer -conns", err)
	}
	return err
}
