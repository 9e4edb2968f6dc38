package proxyproto_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/proxyproto"
)

// A door that a proxy stands in front of: who is let in is the client, and so is
// whom the connection comes from.
func ExampleConfig_Serve() {
	proxies := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	guard, err := bounds.NewGuard(bounds.GuardConfig{
		Proxies: proxies,
		Deny:    []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
	})
	if err != nil {
		panic(err)
	}
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		panic(err)
	}
	defer rt.Close()
	counters := new(proxyproto.Counters)
	serve := proxyproto.Config{Trusted: proxies, Counters: counters}.Serve(func(c *conn.Conn, h proxyproto.Header) conn.Handler {
		fmt.Fprintf(c, "hello %v\n", c.Remote().IP)
		return says{h}
	})
	l, err := conn.ListenConfig{Guard: guard}.Listen(rt, conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")), serve)
	if err != nil {
		panic(err)
	}
	for _, client := range []string{"203.0.113.7", "198.51.100.1"} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(c, "PROXY TCP4 %s 192.0.2.1 51234 443\r\n", client)
		c.(*net.TCPConn).CloseWrite()
		answer, _ := io.ReadAll(c)
		fmt.Printf("%q\n", answer)
		c.Close()
	}
	fmt.Println(counters.Stats().V1, counters.Stats().Refused)
	// Output:
	// "hello 203.0.113.7:51234\n"
	// ""
	// 2 1
}
