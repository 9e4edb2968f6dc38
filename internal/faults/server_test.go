//go:build linux

package faults

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/metrics"
	"github.com/weir-go/weir/netconn"
)

// The servers of these tests are this test binary, started again.
func TestMain(m *testing.M) {
	if kind := os.Getenv("FAULTS_SERVER"); kind != "" {
		if err := serve(kind); err != nil {
			fmt.Fprintln(os.Stderr, "server:", err)
			os.Exit(1)
		}
		return
	}
	leak.Main(m)
}

// serve is a server with few descriptors, until its input ends. It speaks lines:
//
//	stream   granted | shed MS: not now, but unary goes on. Asked for again after MS
//	beat N   ok N
//	unary    done
//	         busy MS, and the end: not let in at all
func serve(kind string) error {
	var few, before syscall.Rlimit
	fmt.Sscan(os.Getenv("FAULTS_LIMIT"), &few.Cur)
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		return err
	}
	few.Max = before.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		return err
	}
	if kind == "net" {
		return servePlainly()
	}
	return serveBounded()
}

func serveBounded() error {
	cfg := bounds.Config{Changed: func(c bounds.Change) {
		fmt.Fprintf(os.Stderr, "    server: %s is %s (%.0f %%)\n", c.Resource, c.To, 100*c.Load)
	}}
	if os.Getenv("FAULTS_LONG") == "" { // all of it ten times as fast
		cfg.Rules = bounds.Rules{
			Shed:     bounds.Rule{Enter: 0.85, After: time.Second / 10, Leave: 0.75, Calm: time.Second / 2},
			Critical: bounds.Rule{Enter: 0.90, Leave: 0.80, Calm: time.Second},
			Hard:     bounds.Rule{Enter: 0.97, Leave: 0.90, Calm: time.Second},
		}
		cfg.Ramp = time.Second
	}
	b, err := bounds.New(cfg)
	if err != nil {
		return err
	}
	defer b.Close()
	rt, err := conn.Start(conn.Config{Bounds: b})
	if err != nil {
		return err
	}
	defer rt.Close()
	loopback := conn.TCP(netip.MustParseAddrPort("127.0.0.1:0"))
	lc := conn.ListenConfig{Class: bounds.Stream, Farewell: func(c *conn.Conn) conn.Handler {
		err := b.Take(bounds.Stream)
		if err == nil { // there is room by now
			b.Give(bounds.Stream)
		}
		fmt.Fprintf(c, "busy %d\n", retryAfter(err))
		c.Close()
		return &talk{bounds: b}
	}}
	ln, err := lc.Listen(rt, loopback, func(*conn.Conn) conn.Handler { return &talk{bounds: b} })
	if err != nil {
		return err
	}
	admin, err := netconn.ListenConfig{ListenConfig: conn.ListenConfig{Class: bounds.Admin}}.Listen(rt, loopback)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.NewRuntime("main", rt), metrics.NewBounds(b))
	err = until(ln.Addr().String(), admin, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), rt.Close)
	return errors.Join(err, left(rt, b))
}

// left waits until nothing is held any more: net/http's goroutines may be the
// last users of the admin's connections.
func left(rt *conn.Runtime, b *bounds.Bounds) error {
	for end := time.Now().Add(await.Patience); ; <-time.After(5 * time.Millisecond) {
		s, held := rt.Stats(), b.Stats()
		if s.Conns == 0 && s.BudgetUsed == 0 && held.Taken == 0 && held.Overdrawn == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("left at the end: %d connections, %d bytes, %d descriptors; %d given back too often",
				s.Conns, s.BudgetUsed, held.Taken, held.Overdrawn)
		}
	}
}

// until runs a server's admin port until its input ends.
func until(addr string, admin net.Listener, page http.Handler, end func() error) error {
	srv := http.Server{Handler: page, ErrorLog: log.New(io.Discard, "", 0)}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(admin) }()
	fmt.Println(addr, admin.Addr())
	io.Copy(io.Discard, os.Stdin)
	srv.Close()
	<-failed
	return end()
}

// retryAfter is what a refusal says, in milliseconds.
func retryAfter(err error) int64 {
	var r *bounds.Refusal
	if errors.As(err, &r) {
		return r.RetryAfter.Milliseconds()
	}
	return 1
}

// talk is a peer of the bounded server.
type talk struct{ bounds *bounds.Bounds }

func (t *talk) Data(c *conn.Conn) error {
	for {
		line, _, whole := bytes.Cut(c.Peek(), []byte("\n"))
		if !whole {
			return nil
		}
		answer := reply(string(line), func() error { return t.bounds.Admit() })
		c.Discard(len(line) + 1)
		if _, err := io.WriteString(c, answer); err != nil {
			return err
		}
	}
}

func (t *talk) Closed(*conn.Conn, error) {}

func reply(line string, admit func() error) string {
	switch {
	case line == "unary":
		return "done\n"
	case line == "stream":
		if err := admit(); err != nil {
			return fmt.Sprintf("shed %d\n", retryAfter(err))
		}
		return "granted\n"
	}
	var n int
	fmt.Sscanf(line, "beat %d", &n)
	return fmt.Sprintf("ok %d\n", n)
}

// servePlainly is what one writes with package net: a goroutine for each
// connection, and pauses as net/http makes them when accept fails.
func servePlainly() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		pause := 5 * time.Millisecond
		for {
			c, err := ln.Accept()
			if err != nil {
				<-time.After(pause)
				pause = min(2*pause, time.Second)
				continue
			}
			pause = 5 * time.Millisecond
			go func() {
				defer c.Close()
				for in := bufio.NewScanner(c); in.Scan(); {
					io.WriteString(c, reply(in.Text(), func() error { return nil }))
				}
			}()
		}
	}()
	return until(ln.Addr().String(), admin, metrics.Handler(), func() error { return nil })
}
