package sched_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/sched/schedtest"
)

var dawn = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// patience is for what has to happen and would block for ever otherwise.
const patience = 20 * time.Second

// kit is a Scheduler on a clock that the test turns.
type kit struct {
	*sched.Scheduler
	t     *testing.T
	clock *schedtest.Clock

	mu    sync.Mutex
	lines []sched.Line
}

func newKit(t *testing.T, cfg sched.Config) *kit {
	t.Helper()
	k := &kit{t: t, clock: schedtest.NewClock(dawn)}
	cfg.Clock = k.clock
	cfg.Apart = -1
	cfg.Line = func(l sched.Line) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.lines = append(k.lines, l)
	}
	s, err := sched.New(cfg)
	k.ok(err)
	k.Scheduler = s
	t.Cleanup(func() {
		ended, end := context.WithCancel(context.Background())
		end()
		_ = s.Close(ended) // orphans have been looked at by the test
	})
	return k
}

func (k *kit) ok(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *kit) fails(err, want error) {
	k.t.Helper()
	if !errors.Is(err, want) {
		k.t.Fatalf("%v, want %v", err, want)
	}
}

// pass lets time pass, and every half second waits for what comes of it.
func (k *kit) pass(d time.Duration) {
	k.t.Helper()
	for ; d > 0; d -= time.Second / 2 {
		k.clock.Advance(min(d, time.Second/2))
		k.settle()
	}
}

// settle waits until nothing runs.
func (k *kit) settle() {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), patience)
	defer cancel()
	k.ok(k.Wait(ctx))
}

func (k *kit) add(j sched.Job) *sched.Task {
	k.t.Helper()
	t, err := k.Add(k.t.Context(), j)
	k.ok(err)
	return t
}

// every is a job of a second.
func every(name string, do sched.Body) sched.Job {
	return sched.Job{Name: name, Trigger: sched.Every{Period: time.Second}, Do: do}
}

// told returns what became of a job's instants so far, as
// "5 ran, 6-8 coalesced missed": seconds since the kit began.
func (k *kit) told(job string) string {
	var all []string
	for _, l := range k.Ledger(sched.Filter{Job: job}) {
		s := sec(l.Instant)
		if l.Count > 1 {
			s = sec(l.First) + "-" + s
		}
		if l.Manual {
			s = "hand"
		}
		s += " " + l.Outcome.String()
		if l.Reason != sched.NoReason {
			s += " " + l.Reason.String()
		}
		all = append(all, s)
	}
	return strings.Join(all, ", ")
}

func sec(t time.Time) string { return strings.TrimSuffix(t.Sub(dawn).String(), "s") }

func (k *kit) tells(job, want string) {
	k.t.Helper()
	if got := k.told(job); got != want {
		k.t.Errorf("%s: %s\nwant %s", job, got, want)
	}
}

// count adds up the instants of lines.
func (k *kit) count(takes func(sched.Line) bool) (n uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.lines {
		if takes(l) {
			n += l.Count
		}
	}
	return n
}

// held is a body that goes on until it is told to end.
type held struct {
	began chan sched.Fire
	end   chan error
}

func newHeld() *held {
	return &held{began: make(chan sched.Fire, 1000), end: make(chan error, 1000)}
}

// do heeds its context.
func (h *held) do(ctx context.Context, f sched.Fire) error {
	h.began <- f
	select {
	case err := <-h.end:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// deaf does not.
func (h *held) deaf(_ context.Context, f sched.Fire) error {
	h.began <- f
	return <-h.end
}

// begins waits for a body to begin.
func (k *kit) begins(h *held) sched.Fire {
	k.t.Helper()
	select {
	case f := <-h.began:
		return f
	case <-time.After(patience):
		k.t.Fatal("no body begins")
		return sched.Fire{}
	}
}

// idle fails if a body has begun that nobody waited for.
func (k *kit) idle(h *held) {
	k.t.Helper()
	select {
	case f := <-h.began:
		k.t.Fatalf("begun: %+v", f)
	default:
	}
}

// names is a body that notes in which order it is called.
type names struct {
	mu  sync.Mutex
	all []string
}

func (n *names) do(name string) sched.Body {
	return func(context.Context, sched.Fire) error {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.all = append(n.all, name)
		return nil
	}
}

func (n *names) said() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(slices.Clone(n.all), " ")
}

// until waits until the counters are so.
func (k *kit) until(so func(sched.Stats) bool) {
	k.t.Helper()
	for end := time.Now().Add(patience); !so(k.Stats()); runtime.Gosched() {
		if time.Now().After(end) {
			k.t.Fatalf("%+v", k.Stats())
		}
	}
}
