package leak

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// FDs fails the test when descriptors that were opened after this call are
// still open once the test and the cleanups registered after this one are
// through. Call it first. Descriptors are the process's: a test that runs in
// parallel with others cannot use it. Where there is no /proc/self/fd (all but
// Linux) it does nothing.
func FDs(t testing.TB) {
	t.Helper()
	watch(t, patience)
}

// watch is FDs with a patience of one's own.
func watch(t testing.TB, patience time.Duration) {
	before := openFDs()
	t.Cleanup(func() {
		t.Helper()
		if err := settle(patience, func() error { return newFDs(before) }); err != nil {
			t.Error(err)
		}
	})
}

// fd is a descriptor: its number and what it refers to, "socket:[4711]".
type fd struct {
	number int
	target string
}

// openFDs lists the open descriptors; nil where that cannot be told.
func openFDs() map[fd]bool {
	if runtime.GOOS != "linux" {
		return nil
	}
	wakeRuntime()
	return listFDs()
}

// wakeRuntime has the Go runtime open its own poller, which it otherwise does
// on first use, in the middle of a test that would be blamed for it.
func wakeRuntime() {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
}

func listFDs() map[fd]bool {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	open := make(map[fd]bool, len(entries))
	for _, e := range entries {
		number, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// The descriptor that read the directory is closed by now and has no
		// target any more.
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		open[fd{number, target}] = true
	}
	return open
}

// newFDs returns an error that lists the descriptors that are open now and
// were not before. A number that was closed and opened again as something else
// counts as new.
func newFDs(before map[fd]bool) error {
	if before == nil {
		return nil
	}
	var fresh []fd
	for f := range listFDs() {
		if !before[f] {
			fresh = append(fresh, f)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	slices.SortFunc(fresh, func(a, b fd) int { return cmp.Compare(a.number, b.number) })
	var b strings.Builder
	for _, f := range fresh {
		fmt.Fprintf(&b, "\n\t%d -> %s", f.number, f.target)
	}
	return fmt.Errorf("%d descriptors left open:%s", len(fresh), b.String())
}
