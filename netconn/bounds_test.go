package netconn_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
	"github.com/weir-go/weir/proxyproto"
)

// TestDialerIsBounded: its connections are counted as what it says, and what
// refuses one is found in the error.
func TestDialerIsBounded(t *testing.T) {
	b, err := bounds.New(bounds.Config{})
	ok(t, err)
	defer b.Close()
	rt := start(t, conn.Config{Bounds: b})
	l, err := netconn.ListenConfig{ListenConfig: conn.ListenConfig{Class: bounds.Stream}}.Listen(rt, loopback4)
	ok(t, err)
	defer l.Close()
	d := netconn.Dialer{Runtime: rt, Class: bounds.Other, Timeout: patience}
	c, err := d.Dial("tcp", l.Addr().String())
	ok(t, err)
	s := accept(t, l)
	if used := b.Stats().Classes; used[bounds.Other].Used != 1 || used[bounds.Stream].Used != 1 {
		t.Errorf("%+v", used)
	}
	ok(t, c.Close())
	ok(t, s.Close())
	until(t, "both are given back", func() bool { return b.Stats().Taken == 0 })

	b.Exhausted(bounds.Descriptors)
	_, err = d.Dial("tcp", l.Addr().String())
	var r *bounds.Refusal
	if !errors.As(err, &r) || r.Class != bounds.Other {
		t.Errorf("%v", err)
	}
}

// TestUnavailable: who is not let in hears 503 and when to come back, from a stock
// client's point of view; who was let in before goes on.
func TestUnavailable(t *testing.T) {
	b, err := bounds.New(bounds.Config{})
	ok(t, err)
	defer b.Close()
	rt := start(t, conn.Config{Bounds: b})
	l := listenWith(t, rt, loopback4, netconn.ListenConfig{ListenConfig: conn.ListenConfig{Farewell: netconn.Unavailable(b)}})
	server := &http.Server{Handler: http.NotFoundHandler()}
	go server.Serve(l)
	defer server.Close()
	get := func(client *http.Client) *http.Response {
		t.Helper()
		resp, err := client.Get("http://" + l.Addr().String())
		ok(t, err)
		io.Copy(io.Discard, resp.Body)
		ok(t, resp.Body.Close())
		return resp
	}
	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	before := &http.Client{Transport: transport, Timeout: patience}
	want(t, get(before).StatusCode, http.StatusNotFound)

	b.Exhausted(bounds.Descriptors)
	later := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	for range 3 {
		resp := get(later)
		want(t, resp.StatusCode, http.StatusServiceUnavailable)
		if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || after < 1 || after > 60 {
			t.Errorf("Retry-After: %q", resp.Header.Get("Retry-After"))
		}
	}
	want(t, get(before).StatusCode, http.StatusNotFound)
	if s := rt.Stats(); s.Farewells != 3 {
		t.Errorf("%d farewells", s.Farewells)
	}
}

// TestProxyHeader: behind a proxy RemoteAddr is the client, whom the Guard counts,
// and what follows the header is the first Read's.
func TestProxyHeader(t *testing.T) {
	loopbacks := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	guard, err := bounds.NewGuard(bounds.GuardConfig{Proxies: loopbacks, Deny: []netip.Prefix{netip.MustParsePrefix("203.0.113.66/32")}})
	ok(t, err)
	rt := start(t, conn.Config{})
	for name, serve := range map[string]func(c *conn.Conn, offer func(*conn.Conn) error) conn.Handler{
		"offered at once": nil,
		"by Serve":        func(c *conn.Conn, offer func(*conn.Conn) error) conn.Handler { offer(c); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			l := listenWith(t, rt, loopback4, netconn.ListenConfig{
				ListenConfig: conn.ListenConfig{Guard: guard},
				Proxy:        &proxyproto.Config{Trusted: loopbacks},
				Serve:        serve,
			})
			c := dial(t, rt, l.Addr())
			io.WriteString(c, "PROXY TCP4 203.0.113.7 10.0.0.1 51234 443\r\nhello\n")
			s := accept(t, l)
			want(t, s.RemoteAddr().String(), "203.0.113.7:51234")
			got, err := bufio.NewReader(s).ReadString('\n')
			ok(t, err)
			want(t, got, "hello\n")
			ok(t, s.Close())
			want(t, s.RemoteAddr().String(), "203.0.113.7:51234")

			denied := dial(t, rt, l.Addr())
			io.WriteString(denied, "PROXY TCP4 203.0.113.66 10.0.0.1 51234 443\r\nhello\n")
			denied.SetDeadline(time.Now().Add(patience))
			if _, err := denied.Read(make([]byte, 1)); err == nil || errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
	}
	until(t, "they are counted", func() bool { return rt.Stats().RefusedGuard == 2 })
}

// TestFarewellBehindProxy: who is not let in sends a header too, and then asks.
func TestFarewellBehindProxy(t *testing.T) {
	b, err := bounds.New(bounds.Config{})
	ok(t, err)
	defer b.Close()
	rt := start(t, conn.Config{Bounds: b})
	counters := new(proxyproto.Counters)
	l := listenWith(t, rt, loopback4, netconn.ListenConfig{
		ListenConfig: conn.ListenConfig{Farewell: netconn.Unavailable(b)},
		Proxy:        &proxyproto.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Counters: counters},
	})
	b.Exhausted(bounds.Descriptors)
	c, err := net.Dial("tcp", l.Addr().String())
	ok(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "PROXY TCP4 203.0.113.7 10.0.0.1 51234 443\r\nGET / HTTP/1.1\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	ok(t, err)
	want(t, resp.StatusCode, http.StatusServiceUnavailable)
	want(t, resp.Body.Close(), nil)
	want(t, counters.Stats(), proxyproto.Stats{V1: 1})
}
