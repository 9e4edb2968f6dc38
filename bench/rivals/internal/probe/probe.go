// Package probe is the frame of a program that makes one measurement:
//
//	program {job} ─► measures ─► result as JSON on one line ─► waits for the end of its input
package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// Main carries out the job on the command line. It returns when whoever started the program has what came of it, and
// exits with 1 when measure fails.
func Main[J any](name string, measure func(J) (any, error)) {
	if err := run(measure); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	io.Copy(io.Discard, os.Stdin)
}

func run[J any](measure func(J) (any, error)) error {
	var j J
	if len(os.Args) != 2 {
		return errors.New("one argument, the job")
	}
	if err := json.Unmarshal([]byte(os.Args[1]), &j); err != nil {
		return err
	}
	r, err := measure(j)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// CPU is what this process has used, user and system.
func CPU() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
