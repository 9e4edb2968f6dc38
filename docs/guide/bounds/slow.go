//go:build ignore

// Slow has two clients that begin a message and then send a byte a second. One is
// on this machine; for the other one a proxy speaks, and says that he is not.
//
//	go run docs/guide/bounds/slow.go
package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/proxyproto"
)

// lines is a server of lines: it leaves what is not a whole one.
type lines struct{ ends chan<- string }

func (lines) Data(*conn.Conn) error { return nil } // and this is none yet

func (l lines) Closed(c *conn.Conn, err error) { l.ends <- fmt.Sprintf("%v: %v", c.Remote(), err) }

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	began, ends := time.Now(), make(chan string, 2)
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		return err
	}
	defer rt.Close()
	here := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	guard, err := bounds.NewGuard(bounds.GuardConfig{Proxies: here, Conns: 100, Rate: 50})
	if err != nil {
		return err
	}
	serve := func(*conn.Conn) conn.Handler { return lines{ends} }
	direct, err := rt.Listen(conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")), serve)
	if err != nil {
		return err
	}
	proxied, err := conn.ListenConfig{Guard: guard}.Listen(rt, conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")),
		proxyproto.Config{Trusted: here}.Serve(func(c *conn.Conn, _ proxyproto.Header) conn.Handler { return serve(c) }))
	if err != nil {
		return err
	}
	for at, first := range map[string]string{direct.Addr().String(): "hel", proxied.Addr().String(): "PROXY TCP4 203.0.113.7 192.0.2.1 51234 443\r\nhel"} {
		c, err := net.Dial("tcp", at)
		if err != nil {
			return err
		}
		defer c.Close()
		go func() {
			io.WriteString(c, first)
			for range time.Tick(time.Second) {
				if _, err := io.WriteString(c, "l"); err != nil {
					return
				}
			}
		}()
	}
	select {
	case end := <-ends:
		fmt.Printf("%.0f s: %s\n", time.Since(began).Seconds(), end)
	case <-time.After(20 * time.Second):
	}
	fmt.Printf("still there: %d; ended for being slow: %d; the guard let in: %d\n", rt.Stats().Conns, rt.Stats().SlowCloses, guard.Stats().Let)
	return nil
}
