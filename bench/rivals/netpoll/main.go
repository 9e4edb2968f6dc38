//go:build linux || darwin || freebsd

// Command netpoll is an echo server on github.com/cloudwego/netpoll with its defaults: each readable connection is
// handed to a goroutine of its pool.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/cloudwego/netpoll"

	"github.com/weir-go/weir/bench/internal/line"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "netpoll:", err)
		os.Exit(1)
	}
}

func run() error {
	listener, err := netpoll.CreateListener("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	loop, err := netpoll.NewEventLoop(echo)
	if err != nil {
		return err
	}
	go func() {
		if err := loop.Serve(listener); err != nil {
			fmt.Fprintln(os.Stderr, "netpoll:", err)
			os.Exit(1)
		}
	}()
	return line.Serve(os.Stdin, os.Stdout, listener.Addr().String())
}

// echo sends back what is there. Release comes after Flush: large messages are not copied.
func echo(_ context.Context, c netpoll.Connection) error {
	r, w := c.Reader(), c.Writer()
	b, err := r.Next(r.Len())
	if err != nil {
		return err
	}
	if _, err := w.WriteBinary(b); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return r.Release()
}
