package boltlog_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/weir-go/weir/saga"
	"github.com/weir-go/weir/saga/boltlog"
)

// early is a Log that is not one: it acknowledges what it has not written.
type early struct{ *boltlog.Log }

func (early) Write(context.Context, *saga.Record, uint64, uint64) error { return nil }

// TestIntentsAreOnTheDisk: between one effect and the next the file of the log is
// flushed, as the kernel sees it. The control is a log that acknowledges early.
func TestIntentsAreOnTheDisk(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("system calls are looked at by strace")
	}
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed (Debian: apt-get install strace)")
	}
	if out, err := exec.Command("strace", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace is not allowed to look: %s", out)
	}
	for _, control := range []bool{false, true} {
		dir := t.TempDir()
		trace := filepath.Join(dir, "trace")
		c := child(t, dir, "near", -1)
		c.Args = append([]string{"strace", "-f", "-y", "-qq", "-e", "trace=fdatasync,fsync,write", "-o", trace}, c.Path)
		c.Path, _ = exec.LookPath("strace")
		if control {
			c.Env = append(c.Env, "BOLTLOG_EARLY=1")
		}
		ok(t, c.Run())
		effects, bare := flushes(t, trace)
		if effects != 3 || control && bare == 0 || !control && bare > 0 {
			t.Errorf("control %v: %d effects, %d of them without a flush of the log in front", control, effects, bare)
		}
	}
}

// flushes counts the effects in a trace, and those in front of which the log was
// not flushed since the last one.
func flushes(t *testing.T, trace string) (effects, bare int) {
	t.Helper()
	f, err := os.Open(trace)
	ok(t, err)
	defer f.Close()
	flushed, under := false, map[string]bool{}
	for in := bufio.NewScanner(f); in.Scan(); {
		pid, call, _ := strings.Cut(in.Text(), " ")
		call = strings.TrimSpace(call)
		ours := strings.HasPrefix(call, "fdatasync(") && strings.Contains(call, "/sagas>")
		switch {
		case ours && strings.Contains(call, "unfinished"):
			under[pid] = true
		case ours, under[pid] && strings.Contains(call, "fdatasync resumed"):
			under[pid] = false
			flushed = true
		case strings.HasPrefix(call, "write(") && strings.Contains(call, "/ledger>"):
			effects++
			if !flushed {
				bare++
			}
			flushed = false
		}
	}
	return effects, bare
}
