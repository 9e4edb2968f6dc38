package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const patience = 30 * time.Second

func start(t *testing.T, core int, command ...string) *Proc {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs cat and sh")
	}
	p, err := Start(exec.Command(command[0], command[1:]...), core)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAskAndStop(t *testing.T) {
	p := start(t, Anywhere, "cat")
	for _, word := range []string{"hello", "", "again"} {
		if got, err := p.Ask(word, patience); err != nil || got != word {
			t.Fatalf("Ask(%q) = %q, %v", word, got, err)
		}
	}
	if err := p.Stop(patience); err != nil {
		t.Fatal(err)
	}
}

func TestFailureCarriesLastWords(t *testing.T) {
	p := start(t, Anywhere, "sh", "-c", "echo no such port >&2; exit 3")
	_, err := p.Line(patience)
	if !errors.Is(err, ErrEnded) {
		t.Errorf("Line = %v, want ErrEnded", err)
	}
	if err := p.Stop(patience); err == nil || !strings.Contains(err.Error(), "no such port") {
		t.Errorf("Stop = %v, want the process's last words", err)
	}
}

func TestSilence(t *testing.T) {
	p := start(t, Anywhere, "sh", "-c", "cat >/dev/null")
	if _, err := p.Ask("anybody?", time.Millisecond); !errors.Is(err, ErrSilent) {
		t.Errorf("Ask = %v, want ErrSilent", err)
	}
	if err := p.Stop(patience); err != nil {
		t.Errorf("Stop = %v", err)
	}
}

// A process that does not end with its input is killed, not waited for.
func TestStopKills(t *testing.T) {
	p := start(t, Anywhere, "sleep", "3600")
	if err := p.Stop(time.Millisecond); err == nil {
		t.Error("Stop gave no error for a process that had to be killed")
	}
}

func TestPinnedFromTheFirstInstruction(t *testing.T) {
	before, err := allowed()
	if err != nil || len(before) < 2 {
		t.Skip("needs two cores and a system that pins: ", err)
	}
	last := before[len(before)-1]
	p := start(t, last, "sh", "-c", "grep Cpus_allowed_list /proc/self/status; cat")
	got, err := p.Line(patience)
	if want := fmt.Sprintf("Cpus_allowed_list:\t%d", last); err != nil || got != want {
		t.Errorf("child says %q, %v; want %q", got, err, want)
	}
	if err := p.Stop(patience); err != nil {
		t.Error(err)
	}
	if after, _ := allowed(); !slices.Equal(before, after) {
		t.Errorf("own cores changed from %v to %v", before, after)
	}
}

func TestCoreList(t *testing.T) {
	for s, want := range map[string][]int{"0\n": {0}, "0-1": {0, 1}, "0,4-6,x": {0, 4, 5, 6}, "": nil} {
		if got := coreList(s); !slices.Equal(got, want) {
			t.Errorf("coreList(%q) = %v, want %v", s, got, want)
		}
	}
}

func TestParseMachine(t *testing.T) {
	m, err := parseMachine("cpu  1 2 3 40 5 6 7 8 0 0\ncpu0 9 9 9 9 9 9 9 9 9 9\n")
	want := machine{busy: 19 * tick, idle: 45 * tick, steal: 8 * tick}
	if err != nil || m != want {
		t.Errorf("got %+v, %v, want %+v", m, err, want)
	}
	if _, err := parseMachine("intr 5"); !errors.Is(err, ErrUnknown) {
		t.Errorf("nonsense gives %v", err)
	}
}

// Threads come and go; a new one's time is all of the window's, an ended one's is unknown.
func TestThreadsSince(t *testing.T) {
	before := threads{"1": 100, "2": 50}
	after := threads{"1": 130, "3": 7}
	if got := after.since(before); got != 37 {
		t.Errorf("since = %d, want 37", got)
	}
}

func TestWatchSeesTheServersWork(t *testing.T) {
	if _, err := machineNow(); err != nil {
		t.Skip(err)
	}
	me := os.Getpid()
	w := NewWatch(me, me)
	w.Begin()
	var sum int
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); sum++ {
	}
	u := w.End()
	if !u.Known || u.Server <= 0 || u.Elapsed < 20*time.Millisecond || u.Server > u.Elapsed*time.Duration(runtime.NumCPU()+1) {
		t.Errorf("usage %+v after %d steps", u, sum)
	}
	if rss, err := Resident(me); err != nil || rss < 1<<20 {
		t.Errorf("Resident = %d, %v", rss, err)
	}
	if ticks, err := ticksOf("/proc/" + strconv.Itoa(me) + "/stat"); err != nil || ticks < 0 {
		t.Errorf("ticksOf = %v, %v", ticks, err)
	}
}

func TestGoneProcessIsUnknown(t *testing.T) {
	w := NewWatch(1<<30, os.Getpid())
	w.Begin()
	if u := w.End(); u.Known || u.Disturbed() {
		t.Errorf("usage of a process that is not there: %+v", u)
	}
}
