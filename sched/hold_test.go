package sched_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/sched/schedtest"
)

// A hold that is lost between two tries is lost: another may be at the run.
func TestHoldLostBetweenTwoTries(t *testing.T) {
	g := &fickle{lost: make(chan func(error), 10)}
	k := newKit(t, sched.Config{Guard: g})
	calls := 0
	task := k.add(sched.Job{Name: "a", Guarded: true, Trigger: sched.At(dawn.Add(time.Second)),
		Retry: sched.Retry{Tries: 3, First: time.Second, Jitter: -1},
		Do:    func(context.Context, sched.Fire) error { calls++; return errors.New("no") }})
	k.clock.Advance(time.Second)
	k.settle()
	if n := task.Info().Retrying; n != 1 {
		t.Fatalf("%+v", task.Info())
	}
	(<-g.lost)(errors.New("why"))
	k.clock.Advance(time.Minute)
	k.settle()
	k.tells("a", "1 failed hold lost")
	if calls != 1 {
		t.Errorf("called %d times, the last ones without a hold", calls)
	}
}

// The next try of an orphan has its hold, and hears of its loss.
func TestHoldLostOfATryBesideItsOrphan(t *testing.T) {
	g := &fickle{lost: make(chan func(error), 10)}
	k := newKit(t, sched.Config{Guard: g})
	h, second := newHeld(), newHeld()
	k.add(sched.Job{Name: "a", Guarded: true, Reentrant: true, Trigger: sched.At(dawn.Add(time.Second)),
		Timeout: time.Minute, Grace: time.Second, Retry: sched.Retry{Tries: 2, First: time.Second, Jitter: -1},
		Do: func(ctx context.Context, f sched.Fire) error {
			if f.Try == 1 {
				return h.deaf(ctx, f)
			}
			return second.do(ctx, f)
		}})
	k.clock.Advance(time.Second)
	k.begins(h)
	k.clock.Advance(62 * time.Second)
	k.begins(second)
	(<-g.lost)(nil)
	k.until(func(st sched.Stats) bool { return st.Instants(sched.Failed) == 1 })
	k.tells("a", "1 failed hold lost")
	h.end <- nil
	k.settle()
}

// gradual is a Guard that answers when the test says so.
type gradual struct {
	sched.MemoryGuard
	asked, answer chan bool
}

func (g *gradual) Hold(ctx context.Context, k sched.Key, lost func(error)) (sched.Held, error) {
	g.asked <- true
	<-g.answer
	return g.MemoryGuard.Hold(context.WithoutCancel(ctx), k, lost)
}

// What is cancelled while the Guard is asked does not begin.
func TestCancelledWhileTheGuardIsAsked(t *testing.T) {
	g := &gradual{asked: make(chan bool), answer: make(chan bool)}
	k := newKit(t, sched.Config{Guard: g})
	h := newHeld()
	j := every("a", h.do)
	j.Guarded = true
	task := k.add(j)
	k.clock.Advance(time.Second)
	<-g.asked
	task.Cancel()
	g.answer <- true
	k.settle()
	k.idle(h)
	k.tells("a", "1 cancelled cancelled")
	if _, err := g.MemoryGuard.Hold(t.Context(), sched.Key{Job: "a", Instant: sched.InstantOf(dawn.Add(time.Second))}, nil); err != nil {
		t.Error(err) // it is another's, then
	}
}

// slow is a State whose End takes as long as the test says.
type slow struct {
	sched.MemoryState
	asked, answer chan bool
}

func (s *slow) End(ctx context.Context, m sched.Mark) error {
	s.asked <- true
	<-s.answer
	return s.MemoryState.End(ctx, m)
}

// A body that has returned in time has not timed out, and is no orphan, however
// long it takes to write that down.
func TestTimeIsUpForTheBodyOnly(t *testing.T) {
	w := &slow{asked: make(chan bool), answer: make(chan bool)}
	k := newKit(t, sched.Config{State: w})
	k.add(sched.Job{Name: "a", Durable: true, Timeout: time.Second, Grace: time.Second,
		Trigger: sched.At(dawn.Add(time.Second)), Do: nothing})
	k.clock.Advance(time.Second)
	<-w.asked
	k.clock.Advance(time.Minute)
	if st := k.Stats(); st.Orphans != 0 {
		t.Errorf("%d orphans", st.Orphans)
	}
	w.answer <- true
	k.settle()
	k.tells("a", "1 ran")
}

// Close does not wait for a worker who is an orphan to give a hold back.
func TestCloseGivesHoldsBackWithoutAWorker(t *testing.T) {
	g := new(sched.MemoryGuard)
	k := newKit(t, sched.Config{Workers: 1, Guard: g})
	h := newHeld()
	a := sched.Job{Name: "a", Guarded: true, Trigger: sched.At(dawn.Add(time.Second)), Retry: sched.Retry{Tries: 2, First: time.Hour},
		Do: func(context.Context, sched.Fire) error { return errors.New("no") }}
	k.add(a)
	k.clock.Advance(time.Second)
	k.settle()
	k.add(sched.Job{Name: "deaf", Trigger: sched.At(dawn.Add(2 * time.Second)), Do: h.deaf, Grace: time.Second})
	k.clock.Advance(time.Second)
	k.begins(h)
	ctx, end := context.WithCancel(t.Context())
	end()
	closed := make(chan error, 1)
	go func() { closed <- k.Close(ctx) }()
	k.settledAs("a", "1 cancelled closed")
	k.until(func(sched.Stats) bool { k.clock.Advance(time.Second); return k.Stats().Orphans == 1 })
	select {
	case err := <-closed:
		if !errors.As(err, new(*sched.OrphansError)) {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("Close waits for an orphan")
	}
	h.end <- nil
	k.until(func(st sched.Stats) bool { return st.Workers == 0 })
}

// An orphan that was to be tried again has its line when that is not to be.
func TestOrphanThatIsNotTriedAgainHasItsLine(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(k *kit, task *sched.Task)
		line string
	}{
		"cancelled": {func(_ *kit, task *sched.Task) { task.Cancel() }, "1 orphaned timeout"},
		"closed": {func(k *kit, _ *sched.Task) {
			ctx, end := context.WithCancel(k.t.Context())
			end()
			_ = k.Close(ctx)
		}, "1 orphaned timeout"},
		"replaced": {func(k *kit, _ *sched.Task) { k.clock.Advance(time.Minute) }, "1 orphaned replaced"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, sched.Config{})
			h := newHeld()
			task := k.add(sched.Job{Name: "a", Trigger: sched.At(dawn.Add(time.Second), dawn.Add(time.Minute)), Do: h.deaf, Timeout: time.Second,
				Grace: time.Second, Retry: sched.Retry{Tries: 2}, Overlap: sched.Overlap{Policy: sched.CancelOther}})
			k.clock.Advance(time.Second)
			k.begins(h)
			k.clock.Advance(2 * time.Second)
			k.tells("a", "")
			test.end(k, task)
			k.tells("a", test.line)
			h.end <- errors.New("late")
			if name == "replaced" {
				if f := k.begins(h); f.Try != 1 || sec(f.Instant.Time()) != "1m0" {
					t.Errorf("%+v", f)
				}
				h.end <- nil
				test.line += ", 1m0 ran"
			}
			k.until(func(st sched.Stats) bool { return st.Workers == 0 })
			k.tells("a", test.line)
		})
	}
}

// A nil pointer that is an error panics where it is asked what it says.
type broken struct{ text string }

func (b *broken) Error() string { return b.text }

// nosy asks the scheduler something when it is compared.
type nosy struct{ k *kit }

func (n nosy) Error() string { return fmt.Sprint(n.k.Stats().Tasks) }

func (n nosy) Is(error) bool { return n.k.Stats().Tasks < 0 }

func TestErrorsAreTheirAuthors(t *testing.T) {
	k := newKit(t, sched.Config{Workers: 1})
	n := 0
	k.add(sched.Job{Name: "a", Trigger: sched.Every{Period: time.Second}, Retry: sched.Retry{Tries: 2, First: 1},
		Do: func(context.Context, sched.Fire) error {
			switch n++; n {
			case 1, 2:
				return (*broken)(nil)
			case 3, 4:
				return nosy{k}
			case 5, 6:
				return errors.New(strings.Repeat("x", 1<<20))
			}
			return nil
		}})
	for range 4 {
		k.pass(time.Second)
		k.clock.Advance(10 * time.Millisecond)
		k.settle()
	}
	k.tells("a", "1 failed panic, 2 failed error, 3 failed error, 4 ran")
	lines := k.Ledger(sched.Filter{})
	if !strings.Contains(lines[0].Err, "*sched_test.broken") || lines[1].Err != "1" || len(lines[2].Err) != 4<<10 {
		t.Errorf("%.200q, %q, %d bytes", lines[0].Err, lines[1].Err, len(lines[2].Err))
	}
}

// The stack of a panic is in its line.
func TestStackIsInTheLedger(t *testing.T) {
	k := newKit(t, sched.Config{})
	k.add(every("a", boom))
	k.pass(time.Second)
	if l := k.Ledger(sched.Filter{})[0]; l.Err != "sched: panic: no" || !strings.Contains(l.Stack, "sched_test.boom") {
		t.Errorf("%+v", l)
	}
}

func boom(context.Context, sched.Fire) error { panic("no") }

// Who is told lines may panic: nobody waits for him, and nothing is held.
func TestLineThatPanics(t *testing.T) {
	k := newKit(t, sched.Config{})
	s, err := sched.New(sched.Config{Line: func(sched.Line) { panic("no") }})
	k.ok(err)
	k.ok(s.Submit(t.Context(), job("a", nothing)))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	k.ok(s.Close(ctx))
	if n := s.Stats().Panics; n != 1 {
		t.Errorf("%d panics", n)
	}
}

// stride is a clock whose wall part is set without a word, until it is said.
type stride struct {
	sched.Clock
	turn    *schedtest.Clock
	stepped func()
	set     time.Duration
}

func newStride() *stride {
	c := schedtest.NewClock(dawn)
	return &stride{Clock: c, turn: c}
}

func (c *stride) Start(wake, stepped func()) error {
	c.stepped = stepped
	return c.Clock.Start(wake, stepped)
}

func (c *stride) Wall() time.Time { return c.Clock.Wall().Add(c.set) }

// That the wall clock was set is seen by whoever looks at it first; what follows
// from that is not lost.
func TestStepThatWasSeenBefore(t *testing.T) {
	k := newKit(t, sched.Config{})
	c := newStride()
	s, err := sched.New(sched.Config{Clock: c, Apart: -1})
	k.ok(err)
	defer s.Close(t.Context())
	daily, err := sched.Cron("0 12 * * *", nil)
	k.ok(err)
	task, err := s.Add(t.Context(), sched.Job{Name: "a", Trigger: daily, Do: nothing})
	k.ok(err)
	c.set = -48 * time.Hour
	_, err = s.Add(t.Context(), every("b", nothing)) // looks at the clock
	k.ok(err)
	c.stepped()
	c.turn.Advance(0)
	if got, want := task.Next(), dawn.Add(-36*time.Hour); !got.Equal(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A job of the wall clock does not run before that shows its instant.
func TestNothingRunsEarly(t *testing.T) {
	k := newKit(t, sched.Config{})
	c := newStride()
	s, err := sched.New(sched.Config{Clock: c, Apart: -1})
	k.ok(err)
	defer s.Close(t.Context())
	began := make(chan time.Time, 1)
	_, err = s.Add(t.Context(), sched.Job{Trigger: sched.At(dawn.Add(time.Hour)),
		Do: func(context.Context, sched.Fire) error { began <- c.Wall(); return nil }})
	k.ok(err)
	c.set = -10 * time.Millisecond // too little, or too soon, for anybody to have said so
	c.turn.Advance(time.Hour)
	k.ok(s.Wait(t.Context()))
	select {
	case at := <-began:
		t.Fatalf("at %v", at)
	default:
	}
	c.turn.Advance(10 * time.Millisecond)
	k.ok(s.Wait(t.Context()))
	if at := <-began; at.Before(dawn.Add(time.Hour)) {
		t.Errorf("at %v", at)
	}
	early := uint64(0)
	for _, x := range s.Stats().Series {
		early += x.Early
	}
	if early != 1 {
		t.Errorf("early %d times", early)
	}
}

// What comes due while the Scheduler drains has its line, one-shots too.
func TestOneShotThatComesDueInTheDrain(t *testing.T) {
	k := newKit(t, sched.Config{})
	h := newHeld()
	k.submit(job("a", h.do))
	k.begins(h)
	for range 2 {
		_, err := k.In(t.Context(), time.Second, nothing)
		k.ok(err)
	}
	_, err := k.In(t.Context(), time.Hour, nothing) // has not come by then
	k.ok(err)
	closed := make(chan error, 1)
	go func() { closed <- k.Close(t.Context()) }()
	k.closes()
	k.clock.Advance(2 * time.Second)
	h.end <- nil
	k.ok(<-closed)
	if st := k.Stats(); st.Instants(sched.Cancelled) != 2 || st.Tasks != 0 {
		t.Errorf("%d cancelled, %d tasks", st.Instants(sched.Cancelled), st.Tasks)
	}
}

// What was missed waits for the end of the run that was cut off, and is not
// skipped for it.
func TestMissedWaitsForWhatWasCutOff(t *testing.T) {
	state := new(sched.MemoryState)
	if _, err := state.Begin(t.Context(), "a", sched.InstantOf(dawn.Add(-10*time.Second))); err != nil {
		t.Fatal(err)
	}
	k := newKit(t, sched.Config{State: state})
	h := newHeld()
	j := every("a", h.do)
	j.Durable, j.Crash = true, sched.RunAgain
	k.add(j)
	k.begins(h)
	k.clock.Advance(2 * time.Second)
	h.end <- nil
	k.settle()
	k.tells("a", "-10 ran")
	k.clock.Advance(0)
	if f := k.begins(h); f.Missed != 11 || sec(f.Instant.Time()) != "2" {
		t.Errorf("%+v", f)
	}
	h.end <- nil
	k.settle()
	k.clock.Advance(time.Second)
	k.begins(h)
	h.end <- nil
	k.settle()
	k.tells("a", "-10 ran, -9-1 coalesced missed, 2 ran, 3 ran")
	if k.Find("a").Info().CatchesUp {
		t.Error("catches up for ever")
	}
}
