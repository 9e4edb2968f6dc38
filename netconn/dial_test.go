package netconn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/ports"
	"github.com/weir-go/weir/netconn"
)

func portOf(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

// closedPort is one that nobody listens on until the test ends.
func closedPort(t testing.TB) string { return fmt.Sprint(ports.Hold(t).Port()) }

// TestDialForms: every way to name this machine.
func TestDialForms(t *testing.T) {
	needIPv6(t)
	rt := start(t, conn.Config{})
	// Nobody listens on the other address of each port.
	four := listen(t, rt, conn.TCP(ports.Hold(t, "127.0.0.1", "::1")))
	six := listen(t, rt, conn.TCP(ports.Hold(t, "::1", "127.0.0.1")))
	d := &netconn.Dialer{
		Runtime:  rt,
		Timeout:  patience,
		Resolver: resolver(t, zone{"both.test": {addrs: []string{"127.0.0.1", "::1"}}}),
	}
	for _, c := range []struct {
		network, host string
		l             *netconn.Listener
	}{
		{"tcp", "127.0.0.1", four},
		{"tcp4", "127.0.0.1", four},
		{"tcp", "[::1]", six},
		{"tcp6", "[::1]", six},
		{"tcp", "", four},
		{"tcp", "", six},
		{"tcp4", "0.0.0.0", four},
		{"tcp", "[::]", four},
		{"tcp", "[::ffff:127.0.0.1]", four},
		{"tcp", "both.test", four},
		{"tcp", "both.test", six},
		{"tcp4", "both.test", four},
		{"tcp6", "both.test", six},
	} {
		client, err := d.Dial(c.network, c.host+":"+portOf(c.l.Addr()))
		if err != nil {
			t.Errorf("%s %q: %v", c.network, c.host, err)
			continue
		}
		server := accept(t, c.l)
		echoOnce(t, client.(*netconn.Conn), server)
		client.Close()
		server.Close()
	}
}

// TestDialErrors are those of package net.
func TestDialErrors(t *testing.T) {
	rt := start(t, conn.Config{})
	names := resolver(t, zone{"four.test": {addrs: []string{"127.0.0.1"}}})
	weir := &netconn.Dialer{Runtime: rt, Resolver: names, Timeout: patience}
	stock := &net.Dialer{Resolver: names, Timeout: patience}
	closed := closedPort(t)
	for _, c := range []struct{ network, address string }{
		{"tcp", "127.0.0.1:" + closed},
		{"tcp4", "127.0.0.1:" + closed},
		{"tcp", "four.test:" + closed},
		{"unix", t.TempDir() + "/nobody"},
		{"tcp", "nobody.test:80"},
		{"tcp6", "127.0.0.1:80"},
		{"tcp4", "[::1]:80"},
		{"tcp", "127.0.0.1"},
		{"tcp", "127.0.0.1:no-such-service"},
		{"tcp", "127.0.0.1:70000"},
		{"no-such-network", "127.0.0.1:80"},
	} {
		got, expected := dialErr(weir.DialContext, c.network, c.address), dialErr(stock.DialContext, c.network, c.address)
		if shapeOf(got) != shapeOf(expected) {
			t.Errorf("%s %s:\n%v\n%+v\npackage net:\n%v\n%+v", c.network, c.address, got, shapeOf(got), expected, shapeOf(expected))
		}
		var a, b *net.DNSError
		if errors.As(got, &a) != errors.As(expected, &b) || a != nil && a.IsNotFound != b.IsNotFound {
			t.Errorf("%s %s: %v; package net: %v", c.network, c.address, got, expected)
		}
	}
	_, err := (&netconn.Dialer{}).Dial("tcp", "127.0.0.1:80")
	if err == nil || !strings.Contains(err.Error(), "Runtime is not set") {
		t.Errorf("without a Runtime: %v", err)
	}
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

func dialErr(dial dialFunc, network, address string) error {
	c, err := dial(context.Background(), network, address)
	if err == nil {
		c.Close()
	}
	return err
}

// TestDialOrder: the families take turns, IPv6 first, each in the resolver's
// order, and not more than MaxAddrs.
func TestDialOrder(t *testing.T) {
	for _, c := range []struct {
		most     int
		addrs    string
		expected string
	}{
		{9, "1.1.1.1 1.1.1.2", "1.1.1.1 1.1.1.2"},
		{9, "::1 ::2", "::1 ::2"},
		{9, "1.1.1.1 1.1.1.2 1.1.1.3 ::1", "::1 1.1.1.1 1.1.1.2 1.1.1.3"},
		{9, "1.1.1.1 ::1 ::2 ::3", "::1 1.1.1.1 ::2 ::3"},
		{4, "1.1.1.1 1.1.1.2 1.1.1.3 ::1 ::2 ::3", "::1 1.1.1.1 ::2 1.1.1.2"},
		{2, "1.1.1.1 1.1.1.2 1.1.1.3", "1.1.1.1 1.1.1.2"},
		{9, "", ""},
	} {
		var addrs []conn.Addr
		for s := range strings.FieldsSeq(c.addrs) {
			addrs = append(addrs, conn.TCP(netip.AddrPortFrom(netip.MustParseAddr(s), 80)))
		}
		var got []string
		for _, a := range netconn.Order(c.most, addrs...) {
			got = append(got, a.IP.Addr().String())
		}
		if strings.Join(got, " ") != c.expected {
			t.Errorf("%s (%d at most): got %v, want %s", c.addrs, c.most, got, c.expected)
		}
	}
}

// TestDialAllFail: the error holds one for each address that was tried.
func TestDialAllFail(t *testing.T) {
	rt := start(t, conn.Config{})
	d := &netconn.Dialer{
		Runtime:  rt,
		Resolver: resolver(t, zone{"many.test": {addrs: []string{"127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"}}}),
		MaxAddrs: 3,
	}
	port := closedPort(t)
	_, err := d.DialContext(within(t), "tcp", "many.test:"+port)
	wantIs(t, err, syscall.ECONNREFUSED)
	want(t, strings.Count(err.Error(), "127.0.0.1:"+port), 3)
	var sys *os.SyscallError
	want(t, errors.As(err, &sys) && sys.Syscall == "connect", true)
}

// TestDialLocalAddr: from where to connect.
func TestDialLocalAddr(t *testing.T) {
	rt := start(t, conn.Config{})
	l := listen(t, rt, loopback4)
	d := &netconn.Dialer{Runtime: rt, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}
	c, err := d.Dial("tcp", l.Addr().String())
	ok(t, err)
	c.Close()

	ok(t, ports.Again(t, func(at netip.AddrPort) error {
		d.LocalAddr = &net.TCPAddr{Port: int(at.Port())}
		c, err := d.Dial("tcp", l.Addr().String())
		if err == nil {
			want(t, portOf(c.LocalAddr()), fmt.Sprint(at.Port()))
			c.Close()
		}
		return err
	}))

	var mismatch *net.AddrError
	d.LocalAddr = &net.TCPAddr{IP: net.IPv6loopback}
	if _, err = d.Dial("tcp", l.Addr().String()); !errors.As(err, &mismatch) {
		t.Errorf("IPv6 to IPv4: %v", err)
	}
	d.LocalAddr = &net.UDPAddr{}
	if _, err = d.Dial("tcp", l.Addr().String()); !errors.As(err, &mismatch) {
		t.Errorf("UDP to TCP: %v", err)
	}
}

// TestSlowFamilyIsNotWaitedFor: a name server that never answers for one family
// keeps nobody from the other. (The resolver would wait for it for 10 s.)
func TestSlowFamilyIsNotWaitedFor(t *testing.T) {
	rt := start(t, conn.Config{})
	for _, c := range []struct {
		silent dnsmessage.Type
		addr   string
		to     conn.Addr
	}{
		{dnsmessage.TypeAAAA, "127.0.0.1", loopback4},
		{dnsmessage.TypeA, "::1", loopback6},
	} {
		t.Run(c.silent.String(), func(t *testing.T) {
			if c.to == loopback6 {
				needIPv6(t)
			}
			l := listen(t, rt, c.to)
			d := &netconn.Dialer{
				Runtime:  rt,
				Timeout:  4 * time.Second,
				Resolver: resolver(t, zone{"half.test": {addrs: []string{c.addr}, silent: c.silent}}),
			}
			client, err := d.Dial("tcp", "half.test:"+portOf(l.Addr()))
			ok(t, err)
			defer client.Close()
			echoOnce(t, client.(*netconn.Conn), accept(t, l))
		})
	}
}

// TestLateFamily: addresses that become known while an attempt hangs, and its
// time is over, are tried at once.
func TestLateFamily(t *testing.T) {
	needIPv6(t)
	rt := start(t, conn.Config{})
	l, port := deadAndLive(t, rt, "[::1]")
	known := make(chan struct{})
	d := &netconn.Dialer{
		Runtime:       rt,
		FallbackDelay: time.Nanosecond,
		Resolver: resolver(t, zone{"late.test": {
			addrs: []string{"::1", "127.0.0.1"}, silent: dnsmessage.TypeA, until: known,
		}}),
	}
	var g tasks
	g.do(func() error {
		c, err := d.DialContext(within(t), "tcp", "late.test:"+port)
		if err == nil {
			c.Close()
		}
		return err
	})
	until(t, "the attempt on ::1 hangs", func() bool { return rt.Stats().Conns == 1 })
	close(known)
	accept(t, l)
	g.wait(t)
}

// TestOneWinner: when several attempts connect, one is handed out and the rest
// are closed.
func TestOneWinner(t *testing.T) {
	needIPv6(t)
	rt := start(t, conn.Config{})
	l := listen(t, rt, conn.Addr{IP: loopback6.IP})
	d := &netconn.Dialer{
		Runtime:       rt,
		Timeout:       patience,
		FallbackDelay: time.Nanosecond, // start all at once
		MaxAddrs:      6,
		Resolver:      resolver(t, zone{"all.test": {addrs: []string{"::1", "::1", "::1", "::1", "::1", "::1"}}}),
	}
	heard := make(chan string, 100)
	serveEach(t, l, func(c net.Conn) {
		if said, _ := io.ReadAll(c); len(said) > 0 {
			heard <- string(said)
		}
	})
	for range 30 {
		c, err := d.Dial("tcp", "all.test:"+portOf(l.Addr()))
		ok(t, err)
		ok(t, discard(io.WriteString(c, "it is me")))
		ok(t, c.Close())
		want(t, <-heard, "it is me")
		until(t, "winner and losers are gone", func() bool { return rt.Stats().Conns == 0 })
	}
	want(t, len(heard), 0)
}

// TestDialGivesUp: time-out and cancellation end a connect that hangs, with
// the errors of package net.
func TestDialGivesUp(t *testing.T) {
	hang := full(t, "127.0.0.1:0")
	rt := start(t, conn.Config{})
	canceled := func(dial dialFunc) error {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(20*time.Millisecond, cancel)
		defer cancel()
		_, err := dial(ctx, "tcp", hang)
		return err
	}
	late := func(dial dialFunc) error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		_, err := dial(ctx, "tcp", hang)
		return err
	}
	weir, stock := &netconn.Dialer{Runtime: rt}, &net.Dialer{}

	got, expected := canceled(weir.DialContext), canceled(stock.DialContext)
	wantIs(t, got, context.Canceled)
	want(t, errors.Is(expected, context.Canceled), true)
	want(t, got.(net.Error).Timeout(), expected.(net.Error).Timeout())

	got, expected = late(weir.DialContext), late(stock.DialContext)
	wantIs(t, got, context.DeadlineExceeded)
	wantIs(t, got, os.ErrDeadlineExceeded)
	want(t, got.(net.Error).Timeout(), expected.(net.Error).Timeout())

	weir.Timeout = 20 * time.Millisecond
	_, got = weir.Dial("tcp", hang)
	wantIs(t, got, os.ErrDeadlineExceeded)
	until(t, "nothing is left of them", func() bool { return rt.Stats().Conns == 0 })
}

// TestHappyEyeballs: an address that hangs does not keep a dialer from the one
// that answers, and nothing of the attempt is left.
func TestHappyEyeballs(t *testing.T) {
	rt := start(t, conn.Config{})
	cases := map[string]string{"the other family": "[::1]", "the same family": "127.0.0.2"}
	for name, dead := range cases {
		t.Run(name, func(t *testing.T) {
			if dead == "[::1]" {
				needIPv6(t)
			}
			l, port := deadAndLive(t, rt, dead)
			d := &netconn.Dialer{
				Runtime:       rt,
				FallbackDelay: 10 * time.Millisecond,
				Resolver:      resolver(t, zone{"race.test": {addrs: []string{strings.Trim(dead, "[]"), "127.0.0.1"}}}),
			}
			for range 5 {
				// Without a time-out: what is left is aborted for that alone.
				c, err := d.DialContext(context.Background(), "tcp", "race.test:"+port)
				ok(t, err)
				want(t, c.RemoteAddr().String(), "127.0.0.1:"+port)
				server := accept(t, l)
				echoOnce(t, c.(*netconn.Conn), server)
				c.Close()
				server.Close()
				until(t, "the losers are gone", func() bool { return rt.Stats().Conns == 0 })
			}
			// One after the other means that the first must fail before.
			d.FallbackDelay, d.Timeout = -1, 300*time.Millisecond
			if dead == "[::1]" {
				_, err := d.Dial("tcp", "race.test:"+port)
				wantIs(t, err, os.ErrDeadlineExceeded)
			}
		})
	}
}

// deadAndLive returns a listener on 127.0.0.1 and its port, on which connects
// to the dead address hang.
func deadAndLive(t *testing.T, rt *conn.Runtime, dead string) (l *netconn.Listener, port string) {
	at := ports.Hold(t, "127.0.0.1", strings.Trim(dead, "[]"))
	l = listen(t, rt, conn.TCP(at))
	port = portOf(l.Addr())
	full(t, dead+":"+port)
	return l, port
}
