//go:build unix

package sched

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestProcessStopped: a process that is stopped, and goes on, runs what it has
// missed as its Misfire says, and accounts for every instant.
func TestProcessStopped(t *testing.T) {
	if os.Getenv("SCHED_STOPPED") != "" {
		stoppedChild(t)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestProcessStopped$")
	child.Env = append(os.Environ(), "SCHED_STOPPED=1")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() { // the first run
		t.Fatal("the child does not begin")
	}
	child.Process.Signal(syscall.SIGSTOP)
	<-time.After(time.Second) // this long it is stopped
	child.Process.Signal(syscall.SIGCONT)
	io.WriteString(in, "report\n")
	var ledger []Line
	for lines.Scan() {
		var l Line
		if err := json.Unmarshal(lines.Bytes(), &l); err == nil {
			ledger = append(ledger, l)
		}
	}
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	// Lines are not in the order of their instants: the first run may be stopped
	// before its line is written.
	var first, last time.Time
	count, ran := uint64(0), uint64(0)
	for _, l := range ledger {
		from := l.Instant
		if !l.First.IsZero() {
			from = l.First
		}
		if first.IsZero() || from.Before(first) {
			first = from
		}
		if l.Instant.After(last) {
			last = l.Instant
		}
		count += l.Count
		if l.Outcome == Ran {
			ran += l.Count
		}
	}
	if len(ledger) == 0 {
		t.Fatal("no ledger")
	}
	if due := uint64(last.Sub(first)/stoppedPeriod) + 1; count != due {
		t.Errorf("%d instants were due, the ledger accounts for %d", due, count)
	}
	t.Logf("%d instants, %d runs", count, ran)
	if missed := uint64(time.Second / stoppedPeriod); count < missed || ran > count-missed/2 {
		t.Errorf("%d runs for %d instants", ran, count)
	}
}

const stoppedPeriod = 20 * time.Millisecond

// stoppedChild says when it has run once, goes on until it has run again after
// somebody has asked, and shows its ledger.
func stoppedChild(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	var once, again sync.Once
	var asked atomic.Bool
	made := make(chan struct{})
	_, err = s.Add(context.Background(), Job{Name: "j", Trigger: Every{Period: stoppedPeriod}, Do: func(context.Context, Fire) error {
		once.Do(func() { os.Stdout.WriteString("began\n") })
		if asked.Load() {
			again.Do(func() { close(made) })
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	bufio.NewReader(os.Stdin).ReadString('\n')
	asked.Store(true)
	<-made
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.WriteLedger(os.Stdout, Filter{})
}
