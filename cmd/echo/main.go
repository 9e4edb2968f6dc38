// Command echo is an echo server and the driver that puts load on it.
//
//	go run ./cmd/echo                            # serve on 127.0.0.1:9000
//	go run ./cmd/echo -v                         # and show all that happens
//	go run ./cmd/echo -face std                  # the same with package net
//	go run ./cmd/echo -grpc 127.0.0.1:9001       # the same as a gRPC service
//	go run ./cmd/echo -drive 127.0.0.1:9000      # put load on it, check every byte
//
// It is small on purpose: the servers are packages internal/echo and
// internal/echo/rpc, the driver is package internal/drive, and what is here are
// flags, signals and words.
//
// The exit code is 0 when all went well, 1 when something did not (the address
// is taken, connections had to be cut off, the driver saw a wrong byte), and 2
// when the command line makes no sense. The first SIGINT or SIGTERM drains, a
// second one ends the process at once. SIGUSR2 has it replaced by a new process,
// which is given the listening sockets.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(args []string, out, errs io.Writer) int {
	o, err := parse(args, errs)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // parse has said why
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.drive != "" {
		err = drive(ctx, o, out)
	} else {
		err = serve(ctx, stop, o, out)
	}
	if err != nil {
		fmt.Fprintln(errs, "echo:", err)
		return 1
	}
	return 0
}
