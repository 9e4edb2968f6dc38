package boltstate_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/sched/boltstate"
	"github.com/weir-go/weir/sched/schedtest"
)

// The tests of this file kill processes: this test program, started again.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BOLTSTATE_DIR"); dir != "" {
		var k, second int64
		fmt.Sscan(os.Getenv("BOLTSTATE_RUN"), &k, &second)
		work(dir, os.Getenv("BOLTSTATE_POLICY"), k, second)
		return
	}
	leak.Main(m)
}

// The story: a job of a second. The first process is there from the beginning on,
// for two instants, unless it dies before; the second one from the tenth second
// on, for two more.
const (
	firstInstants  = 2
	secondBegins   = 10
	secondInstants = 2
	allInstants    = secondBegins + secondInstants
)

var start = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

func job(policy string) sched.Job {
	j := sched.Job{Name: "job", Durable: true, Trigger: sched.Every{Period: time.Second}}
	switch policy {
	case "again":
		j.Misfire.Policy, j.Crash = sched.CatchUp, sched.RunAgain
	case "leave":
		j.Misfire.Policy, j.Crash = sched.CatchUp, sched.LeaveCut
	case "once": // the one run for what was missed waits for the one that was cut off
		j.Overlap.Policy = sched.BufferOne
		j.Misfire.Policy, j.Crash = sched.FireOnce, sched.RunAgain
	}
	return j
}

// work is a process, which begins in a second of the story and dies at the k-th
// point.
func work(dir, policy string, k, second int64) {
	var n atomic.Int64
	point := func() {
		if n.Add(1) == k {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	state, err := boltstate.Open(boltstate.Config{Path: filepath.Join(dir, "state")})
	must(err)
	clock := schedtest.NewClock(start.Add(time.Duration(second) * time.Second))
	s, err := sched.New(sched.Config{Clock: clock, Apart: -1, State: points{state, point}})
	must(err)
	j := job(policy)
	j.Do = func(_ context.Context, f sched.Fire) error {
		point()
		defer point()
		return effect(dir, f)
	}
	ctx := context.Background()
	_, err = s.Add(ctx, j)
	must(err)
	instants := firstInstants
	if second > 0 {
		instants = secondInstants
	}
	settle := func() {
		// What is caught up with comes one after the other, each at once when the
		// one before has ended, which takes a look at the clock.
		for range allInstants {
			clock.Advance(0)
			must(s.Wait(ctx))
		}
	}
	settle()
	for range instants {
		clock.Advance(time.Second)
		settle()
	}
	must(s.Close(ctx))
	must(state.Close())
}

// effect is outside of all stores: a line, on the disk when it returns.
func effect(dir string, f sched.Fire) error {
	file, err := os.OpenFile(filepath.Join(dir, "effects"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	second := func(i sched.Instant) int64 { return i.Time().Unix() - start.Unix() }
	fmt.Fprintln(file, second(f.First), second(f.Instant), f.Missed, f.Again, f.Fence)
	return file.Sync()
}

// points are in front of and behind each write.
type points struct {
	sched.State
	point func()
}

func (p points) Note(ctx context.Context, job string, at sched.Instant) (sched.Mark, error) {
	p.point()
	defer p.point()
	return p.State.Note(ctx, job, at)
}

func (p points) Begin(ctx context.Context, job string, at sched.Instant) (sched.Mark, error) {
	p.point()
	defer p.point()
	return p.State.Begin(ctx, job, at)
}

func (p points) End(ctx context.Context, m sched.Mark) error {
	p.point()
	defer p.point()
	return p.State.End(ctx, m)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func child(t *testing.T, dir, policy string, k, second int) error {
	t.Helper()
	self, err := os.Executable()
	ok(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, self)
	c.Env = append(os.Environ(), "BOLTSTATE_DIR="+dir, "BOLTSTATE_POLICY="+policy, fmt.Sprint("BOLTSTATE_RUN=", k, " ", second),
		"GORACE=atexit_sleep_ms=0")
	c.Stderr = os.Stderr
	return c.Run()
}

// covered is what became of each second: how many effects stand for it.
func covered(t *testing.T, dir string) (n [allInstants + 1]int, again int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "effects"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var fence uint64
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		var first, last, missed int
		var cut bool
		var f uint64
		_, err := fmt.Sscan(lines.Text(), &first, &last, &missed, &cut, &f)
		ok(t, err)
		if f <= fence {
			t.Fatalf("fence %d after %d:\n%s", f, fence, b)
		}
		fence = f
		if cut {
			again++
		}
		if missed > 0 && last-first != missed || missed == 0 && first != last {
			t.Fatalf("%q", lines.Text())
		}
		for s := first; s <= last; s++ {
			n[s]++
		}
	}
	return n, again
}

// TestKilledAtEachPoint: in front of and behind each write and each effect, in
// turn. What was due before the job was noted on the disk is not known to the second
// process.
func TestKilledAtEachPoint(t *testing.T) {
	for _, policy := range []string{"again", "leave", "once"} {
		t.Run(policy, func(t *testing.T) {
			k := 1
			for ; ; k++ {
				dir := t.TempDir()
				err := child(t, dir, policy, k, 0)
				if err != nil && !strings.Contains(err.Error(), "killed") {
					t.Fatal(err)
				}
				known := begun(t, dir)
				before, _ := covered(t, dir)
				ok(t, child(t, dir, policy, 0, secondBegins))
				after, again := covered(t, dir)
				judge(t, policy, k, known, before, after, again)
				if err == nil {
					break // there are no more points
				}
			}
			t.Logf("%d points", k-1)
			if want := 2 + 6*firstInstants; k-1 < want {
				t.Errorf("only %d points, want %d", k-1, want)
			}
		})
	}
}

// begun returns the mark that a dead process has left.
func begun(t *testing.T, dir string) sched.Mark {
	t.Helper()
	s, err := boltstate.Open(boltstate.Config{Path: filepath.Join(dir, "state")})
	ok(t, err)
	defer func() { ok(t, s.Close()) }()
	m, err := s.Load(t.Context(), "job")
	ok(t, err)
	return m
}

// judge holds the effects to the policy.
func judge(t *testing.T, policy string, k int, mark sched.Mark, before, after [allInstants + 1]int, again int) {
	t.Helper()
	cut := -1 // the second whose run was begun and not ended
	from := 1
	if mark.Instant == 0 {
		from = secondBegins + 1
	} else if !mark.Ended {
		cut = int(mark.Instant.Time().Unix() - start.Unix())
	}
	for s := from; s <= allInstants; s++ {
		want := 1
		switch {
		case s != cut:
		case policy == "leave":
			want = before[s] // it is not run again, whether or not it had come to its effect
		default:
			want = before[s] + 1
		}
		if after[s] != want {
			t.Errorf("killed at point %d (%+v): %d effects stand for second %d, want %d: %v, before %v", k, mark, after[s], s, want, after, before)
		}
	}
	wantAgain := 0
	if cut > 0 && policy != "leave" {
		wantAgain = 1
	}
	if again != wantAgain {
		t.Errorf("killed at point %d: %d runs say that they were cut off, want %d", k, again, wantAgain)
	}
}
