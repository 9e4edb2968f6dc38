// Command bench measures this runtime against package net, side by side:
//
//	go run ./bench [area] [flags]
//
// The areas are listed by go run ./bench -h; echo is the one without a word. The subjects take turns round by round,
// so that whatever else the machine does meets all of them, and each measurement has processes of its own. In echo a
// server has one core and the load driver another. docs/benchmarks.md says how the figures are to be read.
//
//	bench ─► for each case, for each round, for each subject:
//	           bench serve -face callback   (or a rival's binary)     core 0
//	           bench drive {job}  ──────── echo ────────►             core 1
//	           or bench probe heap {job}, which measures itself       all cores
//	       ─► medians, ranges, ratios within rounds ─► terminal, JSON, Markdown, SVG, docs/benchmarks.md
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	os.Exit(command(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// command runs one of the commands this binary is and returns its exit code. serve, drive, probe, burn, streams, bounded and talk
// are the benchmark's own processes: people don't call them.
func command(args []string, in io.Reader, out, errs io.Writer) int {
	var err error
	switch {
	case len(args) > 0 && args[0] == "serve":
		err = serve(args[1:], in, out)
	case len(args) > 0 && args[0] == "drive":
		err = drive(args[1:], in, out)
	case len(args) > 0 && args[0] == "probe":
		err = probe(args[1:], in, out)
	case len(args) > 0 && args[0] == "burn":
		err = burn(in, out)
	case len(args) > 0 && args[0] == "streams":
		err = serveStreams(args[1:], in, out)
	case len(args) > 0 && args[0] == "bounded":
		err = serveBounded(args[1:], in, out)
	case len(args) > 0 && args[0] == "talk":
		err = talk(args[1:], in, out)
	default:
		err = measure(args, out, errs)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(errs, "bench:", err)
		return 1
	}
	return 0
}

// measure runs one area and writes what was asked for. Results of a run that failed are not written: a figure of a
// server that answered wrongly is worth nothing.
func measure(args []string, out, errs io.Writer) error {
	o, err := parse(args, errs)
	if err != nil {
		return err
	}
	b, err := newBench(o, errs)
	if err != nil {
		return err
	}
	defer b.close()
	if err := o.area.measure(b); err != nil {
		return err
	}
	return b.publish(out)
}
