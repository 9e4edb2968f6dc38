package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/weir-go/weir/conn"
	load "github.com/weir-go/weir/internal/drive"
)

// drive puts load on a server and says what came of it. It is an error when a
// single byte was wrong or a single connection failed.
func drive(ctx context.Context, o options, out io.Writer) error {
	to, err := resolve(ctx, o.drive)
	if err != nil {
		return err
	}
	rt, err := conn.Start(conn.Config{Loops: o.loops})
	if err != nil {
		return err
	}
	defer rt.Close()
	cfg := load.Config{
		To: to, Conns: o.conns, Size: o.size, Pipeline: o.pipeline, Rate: o.rate,
		For: o.window, Seed: uint64(os.Getpid()),
	}
	if terminal(out) {
		cfg.Progress = func(s load.Snapshot) { progress(out, s, o.window) }
	}
	fmt.Fprintf(out, "driving %s: %s, messages of %d bytes, %d under way on each, for %v\n",
		url(to), count(o.conns, "connection"), o.size, o.pipeline, o.window)
	r, err := load.Run(ctx, rt, cfg)
	if cfg.Progress != nil {
		fmt.Fprint(out, wipe)
	}
	if err != nil {
		return dialAdvice(to, err)
	}
	report(out, r, uint64(o.size))
	if r.Errors+r.Mismatches > 0 {
		return fmt.Errorf("%s failed, %s gave wrong bytes back; the first: %w", count(int(r.Errors), "connection"),
			count(int(r.Mismatches), "connection"), dialAdvice(to, r.Failure))
	}
	return nil
}

func report(out io.Writer, r load.Result, size uint64) {
	fmt.Fprintf(out, "\n  rate      %.0f messages/s, %s/s each way\n", r.Rate, volume(uint64(r.Rate)*size))
	fmt.Fprintf(out, "  latency   %v\n", &r.Latency)
	fmt.Fprintf(out, "  messages  %d in %v, every byte compared\n", r.Requests, r.Elapsed.Round(time.Millisecond))
	if r.Unsent > 0 {
		fmt.Fprintf(out, "  unsent    %d: due while their connection had -pipeline under way\n", r.Unsent)
	}
	fmt.Fprintf(out, "  failed    %s, wrong bytes on %d\n", count(int(r.Errors), "connection"), r.Mismatches)
}

// wipe returns to the beginning of a terminal's line and empties it.
const wipe = "\r\x1b[K"

func progress(out io.Writer, s load.Snapshot, window time.Duration) {
	fmt.Fprintf(out, "%s  %v of %v  %.0f messages/s  %d failed", wipe, s.Elapsed.Round(time.Second), window, s.Rate, s.Errors)
}

// terminal reports whether a person is looking.
func terminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
