// Package leak fails tests that leave goroutines or descriptors behind. It is
// for tests only:
//
//	func TestMain(m *testing.M) { leak.Main(m) }
//
// holds the whole package to what it had at its start, and FDs a single test.
//
// What existed before is told apart by identity and not by name: the two
// goroutines that ants starts for its default pool when it is imported are
// left out because they are older than the tests, and those of a pool that a
// test forgot to release are found although they look the same.
package leak

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long goroutines and descriptors may take to go away after
// the last test: a goroutine that was told to end is not gone at once.
const patience = 2 * time.Second

// pause lies between two looks. Nothing signals that a goroutine has ended.
const pause = 5 * time.Millisecond

// atOnce is as long as a look takes that finds goroutines, which goleak repeats
// for some 400 ms.
const atOnce = 500 * time.Millisecond

// Main runs the tests of a package, then checks that no goroutine and no
// descriptor is left that was not there before, and exits: with the tests'
// own code if they failed, else with 1 if something was left.
func Main(m *testing.M) {
	os.Exit(run(m, os.Stderr, patience))
}

// run is Main without the exit.
func run(m interface{ Run() int }, out io.Writer, patience time.Duration) int {
	before := openFDs()
	old := goleak.IgnoreCurrent()
	if code := m.Run(); code != 0 {
		return code // the failure says more than what it left behind
	}
	err := settle(patience, func() error {
		return errors.Join(goleak.Find(old), newFDs(before))
	})
	if err != nil {
		fmt.Fprintf(out, "leak: after the last test:\n%v\n", err)
		return 1
	}
	return 0
}

// settle repeats a check until it passes or patience is at its end, and
// returns its last word. Of the time from one look to the next no more than
// atOnce counts: nothing ends while the machine is stopped.
func settle(patience time.Duration, check func() error) error {
	last := time.Now()
	for {
		err := check()
		now := time.Now()
		patience -= min(now.Sub(last), atOnce)
		if last = now; err == nil || patience < 0 {
			return err
		}
		<-time.After(pause)
	}
}
