//go:build ignore

// Full is a process that may have 200 descriptors, and another one that opens
// connections to it, more and more, and then goes away.
//
//	go run docs/guide/bounds/full.go
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

func main() {
	if len(os.Args) > 1 {
		crowd(os.Args[1])
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var began = time.Now()

func say(format string, args ...any) {
	fmt.Printf("%5.1f s  "+format+"\n", append([]any{time.Since(began).Seconds()}, args...)...)
}

func run() error {
	changes := make(chan bounds.Change, 16)
	b, err := bounds.New(bounds.Config{Limit: 200, Changed: func(c bounds.Change) { changes <- c }})
	if err != nil {
		return err
	}
	defer b.Close()
	rt, err := conn.Start(conn.Config{Bounds: b})
	if err != nil {
		return err
	}
	defer rt.Close()
	l, err := netconn.ListenConfig{ListenConfig: conn.ListenConfig{Farewell: netconn.Unavailable(b)}}.
		Listen(rt, conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" && b.Admit() != nil { // what lasts
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "here you are")
	})}
	go server.Serve(l)
	defer server.Close()
	return watch(rt, b, changes, l.Addr().String())
}

// watch shows what clients hear after each change of the state, until all is well.
func watch(rt *conn.Runtime, b *bounds.Bounds, changes <-chan bounds.Change, addr string) error {
	known := &http.Client{Transport: &http.Transport{}}
	show := func() {
		say("    a call: %s; what lasts: %s; a new connection: %s",
			get(known, addr, "/"), get(known, addr, "/events"), get(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, addr, "/"))
	}
	show()
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	peers := exec.CommandContext(ctx, os.Args[0], addr)
	if err := peers.Start(); err != nil {
		return err
	}
	for c := range changes {
		say("%s to %s, %s at %.0f %%", c.From, c.To, c.Resource, 100*c.Load)
		show()
		switch {
		case c.To == bounds.Critical && c.From < c.To:
			leave()
			peers.Wait()
			say("the others go")
		case c.To == bounds.Normal:
			s := rt.Stats()
			say("%d connections were let in, %d told to come back; of what lasts %d were refused",
				s.Accepted, s.Farewells, b.Stats().StreamsRefused)
			return nil
		}
	}
	return nil
}

func get(c *http.Client, addr, path string) string {
	c.Timeout = 10 * time.Second
	resp, err := c.Get("http://" + addr + path)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if after := resp.Header.Get("Retry-After"); after != "" {
		return fmt.Sprintf("%d, again in %s s", resp.StatusCode, after)
	}
	return fmt.Sprint(resp.StatusCode)
}

// crowd is the other process: 120 connections, and then five more each second, until
// it is killed.
func crowd(addr string) {
	var all []net.Conn
	for tick := time.Tick(200 * time.Millisecond); ; {
		if c, err := net.Dial("tcp", addr); err == nil {
			all = append(all, c)
		}
		if len(all) >= 120 {
			<-tick
		}
	}
}
