package sched_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
)

func TestPause(t *testing.T) {
	k := newKit(t, sched.Config{})
	task := k.add(every("a", nothing))
	k.pass(time.Second)
	task.Pause()
	if !task.Next().IsZero() {
		t.Error("a paused task is due")
	}
	k.pass(3500 * time.Millisecond)
	k.ok(task.Run(t.Context()))
	k.settle()
	task.Resume()
	k.clock.Advance(0)
	k.settle()
	k.pass(500 * time.Millisecond)
	k.tells("a", "1 ran, hand ran, 2-4 skipped paused, 5 ran")
	task.Pause()
	k.pass(500 * time.Millisecond)
	task.Resume()
	k.pass(500 * time.Millisecond)
	k.tells("a", "1 ran, hand ran, 2-4 skipped paused, 5 ran, 6 ran")
	task.Pause()
	k.pass(time.Second)
	task.Cancel()
	k.clock.Advance(0)
	k.settle()
	k.tells("a", "1 ran, hand ran, 2-4 skipped paused, 5 ran, 6 ran, 7 cancelled cancelled")
}

func TestPauseQueueAndAll(t *testing.T) {
	k := newKit(t, sched.Config{Queues: []sched.Queue{{Name: "q", Capacity: 1}}})
	j := every("a", nothing)
	j.Queue = "q"
	j.Overlap = sched.Overlap{Policy: sched.Allow}
	k.add(j)
	k.add(every("b", nothing))
	k.ok(k.PauseQueue("q"))
	k.fails(k.PauseQueue("none"), sched.ErrConfig)
	k.pass(2 * time.Second)
	k.tells("a", "2 dropped queue full")
	k.tells("b", "1 ran, 2 ran")
	k.ok(k.ResumeQueue("q"))
	k.settle()
	k.tells("a", "2 dropped queue full, 1 ran")
	k.Pause()
	k.pass(time.Second)
	k.tells("b", "1 ran, 2 ran")
	k.Resume()
	k.settle()
	k.tells("b", "1 ran, 2 ran, 3 ran")
}

func TestRunByHand(t *testing.T) {
	k := newKit(t, sched.Config{})
	h := newHeld()
	task := k.add(sched.Job{Name: "a", Do: h.do}) // without a trigger
	k.ok(task.Run(t.Context()))
	if f := k.begins(h); !f.Manual {
		t.Errorf("%+v", f)
	}
	k.fails(task.Run(t.Context()), sched.ErrOverlap)
	h.end <- nil
	k.settle()
	k.tells("a", "hand skipped overlap, hand ran")
	if k.Find("a") != task {
		t.Error("it is gone after its run")
	}
	task.Cancel()
	k.fails(task.Run(t.Context()), sched.ErrGone)
}

func TestReschedule(t *testing.T) {
	k := newKit(t, sched.Config{})
	task := k.add(every("a", nothing))
	k.pass(1500 * time.Millisecond)
	k.ok(task.Reschedule(sched.Every{Period: 3 * time.Second}))
	k.fails(task.Reschedule(sched.Every{}), sched.ErrTrigger)
	k.pass(5 * time.Second)
	k.tells("a", "1 ran, 3 ran, 6 ran")
	task.Pause()
	k.pass(5500 * time.Millisecond) // 9 and 12 have come
	k.ok(task.Reschedule(sched.Every{Period: time.Second}))
	task.Resume()
	k.pass(time.Second)
	k.tells("a", "1 ran, 3 ran, 6 ran, 9-12 cancelled rescheduled, 13 ran")
	task.Cancel()
	k.fails(task.Reschedule(sched.Every{Period: time.Second}), sched.ErrGone)
}

func TestWhatThereIs(t *testing.T) {
	k := newKit(t, sched.Config{})
	k.add(sched.Job{Name: "b", Type: "kind", Labels: map[string]string{"team": "x"}, Trigger: sched.Every{Period: time.Minute}, Do: nothing})
	k.add(every("a", nothing))
	tasks := k.Tasks()
	if len(tasks) != 2 || tasks[0].Name != "a" || tasks[1].Labels["team"] != "x" || !tasks[1].Next.Equal(dawn.Add(time.Minute)) {
		t.Errorf("%+v", tasks)
	}
	if k.Find("b").Info().Type != "kind" || k.Find("c") != nil {
		t.Error("not found, or found")
	}
}

func TestLedger(t *testing.T) {
	k := newKit(t, sched.Config{Ledger: 3})
	k.add(every("a", nothing))
	j := every("b", func(context.Context, sched.Fire) error { return errors.New("no") })
	j.Type = "kind"
	k.add(j)
	k.pass(3 * time.Second)
	if all := k.Ledger(sched.Filter{}); len(all) != 3 {
		t.Errorf("%+v", all)
	}
	for _, f := range []sched.Filter{{Job: "b", Last: 1}, {Type: "kind", Last: 1}, {Outcomes: []sched.Outcome{sched.Failed}, Last: 1},
		{Reasons: []sched.Reason{sched.BodyFailed}, Since: dawn.Add(3 * time.Second), Before: dawn.Add(4 * time.Second)}} {
		lines := k.Ledger(f)
		if len(lines) != 1 || lines[0].Job != "b" || sec(lines[0].Instant) != "3" {
			t.Errorf("%+v: %+v", f, lines)
		}
	}
	var b strings.Builder
	k.ok(k.WriteLedger(&b, sched.Filter{Job: "b", Last: 1}))
	const want = `{"job":"b","type":"kind","task":2,"outcome":"failed","reason":"error","instant":"2026-03-01T00:00:03Z","count":1,"tries":1,"err":"no","decided_ns":0,"ended_ns":0}` + "\n"
	if b.String() != want {
		t.Errorf("%s\nwant %s", b.String(), want)
	}
	if st := k.Stats(); st.Forgotten != 3 || st.Lines != 6 {
		t.Errorf("%+v", st)
	}
}

// A line is a few words: what a body holds is not kept with it.
func TestLedgerKeepsNoBody(t *testing.T) {
	k := newKit(t, sched.Config{})
	freed := make(chan string, 2)
	body := func(name string) sched.Body {
		order := new([1 << 20]byte)
		runtime.AddCleanup(order, func(name string) { freed <- name }, name)
		return func(context.Context, sched.Fire) error { order[0]++; return nil }
	}
	k.submit(job("once", body("once")))
	often := k.add(every("often", body("often")))
	k.pass(time.Second)
	often.Cancel()
	k.tells("once", "hand ran")
	k.tells("often", "1 ran")
	for end, n := time.After(patience), 0; n < 2; {
		runtime.GC()
		select {
		case <-freed:
			n++
		case <-end:
			t.Fatalf("%d of 2 bodies are let go", n)
		default:
		}
	}
}

func TestWallClockIsSet(t *testing.T) {
	k := newKit(t, sched.Config{})
	k.add(every("interval", nothing))
	noon := sched.At(dawn.Add(2*time.Hour), dawn.Add(4*time.Hour))
	k.add(sched.Job{Name: "wall", Trigger: noon, Do: nothing})
	k.pass(time.Second)
	k.clock.Set(-time.Hour) // what ran stays where it is, what comes comes later
	k.pass(time.Second)
	k.clock.Set(3*time.Hour + 10*time.Second) // past 2 h
	k.settle()
	k.pass(time.Second)
	k.tells("interval", "1 ran, 2 ran, 3 ran")
	k.tells("wall", "2h0m0 ran")
	if got := k.Find("wall").Next(); !got.Equal(dawn.Add(4 * time.Hour)) {
		t.Errorf("next is %v", got)
	}
	k.clock.Set(-time.Hour) // to before 2 h: not again
	k.settle()
	k.pass(time.Second)
	k.tells("wall", "2h0m0 ran")
	k.clock.Set(-26 * time.Hour) // the clock was wrong: it is what it is now that counts
	k.settle()
	if got := k.Find("wall").Next(); !got.Equal(dawn.Add(2 * time.Hour)) {
		t.Errorf("next is %v", got)
	}
	if n := k.Stats().Steps; n != 4 {
		t.Errorf("%d steps", n)
	}
	k.tells("interval", "1 ran, 2 ran, 3 ran, 4 ran")
}

func TestCloseDrains(t *testing.T) {
	k := newKit(t, sched.Config{Workers: 1})
	h := newHeld()
	j := every("a", h.do)
	j.Overlap.Policy = sched.BufferOne
	k.add(j)
	k.clock.Advance(2500 * time.Millisecond) // one runs, one is buffered
	k.begins(h)
	k.submit(job("b", nothing))
	closed := make(chan error, 1)
	go func() { closed <- k.Close(t.Context()) }()
	k.closes()
	k.clock.Advance(10 * time.Second) // nothing more is due
	h.end <- nil
	k.begins(h)
	h.end <- nil
	k.ok(<-closed)
	k.tells("a", "1 ran, 2 ran, 3-12 cancelled closed")
	k.tells("b", "hand ran")
	_, err := k.Add(t.Context(), every("c", nothing))
	k.fails(err, sched.ErrClosed)
	k.ok(k.Close(t.Context()))
}

func TestCloseCancelsAndReports(t *testing.T) {
	k := newKit(t, sched.Config{Workers: 2})
	h, deaf := newHeld(), newHeld()
	a, b := every("a", h.do), every("b", deaf.deaf)
	b.Grace = time.Second
	k.add(a)
	k.add(b)
	k.clock.Advance(time.Second)
	k.begins(h)
	k.begins(deaf)
	k.submit(job("c", nothing)) // waits for a worker
	ctx, end := context.WithCancel(t.Context())
	closed := make(chan error, 1)
	go func() { closed <- k.Close(ctx) }()
	end()
	k.settledAs("a", "1 cancelled closed")
	k.settledAs("c", "hand cancelled closed")
	k.clock.Advance(2 * time.Second)
	err := <-closed
	orphans := (*sched.OrphansError)(nil)
	if !errors.As(err, &orphans) || fmt.Sprint(orphans.Jobs) != "[b]" {
		t.Error(err)
	}
	k.tells("b", "1 orphaned closed")
	deaf.end <- nil
	k.until(func(st sched.Stats) bool { return st.Orphans == 0 && st.Workers == 0 })
}

// closes waits until nothing new is taken. What it tries leaves no line.
func (k *kit) closes() {
	k.t.Helper()
	k.until(func(sched.Stats) bool {
		o, err := k.In(k.t.Context(), time.Hour, nothing)
		o.Cancel()
		return errors.Is(err, sched.ErrClosed)
	})
}

// meddles is a trigger in which somebody meddles with its task.
type meddles struct {
	sched.Trigger
	how func()
}

func (m *meddles) Next(prev time.Time) time.Time {
	if m.how != nil {
		m.how()
	}
	return m.Trigger.Next(prev)
}

// What is done to a task while its trigger is asked, without the lock.
func TestMeddlingWithADecision(t *testing.T) {
	for name, test := range map[string]struct {
		how   func(k *kit, task *sched.Task)
		lines string
	}{
		"nothing":            {func(*kit, *sched.Task) {}, "1 ran, 2 ran, 3 ran"},
		"paused and resumed": {func(_ *kit, task *sched.Task) { task.Pause(); task.Resume() }, "1 ran, 2 ran, 3 ran"},
		"paused":             {func(_ *kit, task *sched.Task) { task.Pause() }, ""},
		"cancelled":          {func(_ *kit, task *sched.Task) { task.Cancel() }, "1 cancelled cancelled"},
		"run": {func(k *kit, task *sched.Task) { k.ok(task.Run(t.Context())); k.bodiesEnd() },
			"hand ran, 1 ran, hand ran, 2 ran, hand ran, 3 ran"},
		"rescheduled": {func(k *kit, task *sched.Task) {
			k.ok(task.Reschedule(sched.Every{Period: 1500 * time.Millisecond}))
		}, "1 cancelled rescheduled, 1.5 ran, 3 ran"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, sched.Config{})
			m := &meddles{Trigger: sched.Every{Period: time.Second}}
			task := k.add(sched.Job{Name: "a", Trigger: m, Do: nothing})
			m.how = func() { test.how(k, task) }
			k.pass(3 * time.Second)
			k.tells("a", test.lines)
		})
	}
}

// bodiesEnd waits until no body runs, where the clock does not stand still.
func (k *kit) bodiesEnd() {
	k.t.Helper()
	k.until(func(st sched.Stats) bool { return st.Running+st.Waiting == 0 })
}
