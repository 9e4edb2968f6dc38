package schedtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/weir-go/weir/sched"
)

// TestState tests whether it is a State. open returns one that is empty each
// time.
func TestState(t *testing.T, open func(t *testing.T) sched.State) {
	for name, test := range map[string]func(*testing.T, sched.State){
		"Note":                  testNote,
		"BeginAndEnd":           testBegin,
		"ForgetKeepsTheFence":   testForget,
		"AsAModel":              testModel,
		"JobsSideBySide":        testSideBySide,
		"EndedContextIsRefused": testStateContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// TestKept tests whether a State remembers. open returns what it returned for
// the same t before, closed and opened anew; the first time it is empty.
func TestKept(t *testing.T, open func(t *testing.T) sched.State) {
	ctx := t.Context()
	noted, err := open(t).Note(ctx, "job", at(0))
	ok(t, err)
	is(t, open(t), noted)
	begun, err := open(t).Begin(ctx, "job", at(1))
	ok(t, err)
	is(t, open(t), begun)
	s := open(t)
	begun, err = s.Begin(ctx, "job", at(2))
	ok(t, err)
	ok(t, s.End(ctx, begun))
	begun.Ended = true
	s = open(t)
	is(t, s, begun)
	ok(t, s.Forget(ctx, "job"))
	s = open(t)
	is(t, s, sched.Mark{Job: "job"})
	again, err := s.Begin(ctx, "job", at(1))
	ok(t, err)
	if again.Fence <= begun.Fence {
		t.Fatalf("fence %d after %d", again.Fence, begun.Fence)
	}
}

func at(n int) sched.Instant { return key("", n).Instant }

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func stale(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, sched.ErrStale) {
		t.Fatalf("%v, want ErrStale", err)
	}
}

// is compares what is loaded, but for the fence of a mark that is not there: a
// State may remember it or not tell.
func is(t *testing.T, s sched.State, want sched.Mark) {
	t.Helper()
	got, err := s.Load(t.Context(), want.Job)
	ok(t, err)
	if want.Instant == 0 {
		got.Fence, got.Ended, want.Fence, want.Ended = 0, false, 0, false
	}
	if got != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
}

func testBegin(t *testing.T, s sched.State) {
	ctx := t.Context()
	is(t, s, sched.Mark{Job: "job"})
	first, err := s.Begin(ctx, "job", at(1))
	ok(t, err)
	if first.Job != "job" || first.Instant != at(1) || first.Ended || first.Fence == 0 {
		t.Fatalf("%+v", first)
	}
	is(t, s, first)
	again, err := s.Begin(ctx, "job", at(1)) // cut off, and once more
	ok(t, err)
	if again.Fence <= first.Fence {
		t.Fatalf("fence %d after %d", again.Fence, first.Fence)
	}
	stale(t, s.End(ctx, first))
	is(t, s, again)
	ok(t, s.End(ctx, again))
	ok(t, s.End(ctx, again))
	_, err = s.Begin(ctx, "job", at(1))
	stale(t, err)
	_, err = s.Begin(ctx, "job", at(0))
	stale(t, err)
	again.Ended = true
	is(t, s, again)
	is(t, s, sched.Mark{Job: "another"})
	_, err = s.Begin(ctx, "another", 0)
	stale(t, err)
	stale(t, s.End(ctx, sched.Mark{Job: "another", Instant: at(1), Fence: 1}))
	is(t, s, sched.Mark{Job: "another"})
	_, err = s.Begin(ctx, "another", -1) // before 1970
	ok(t, err)
}

func testNote(t *testing.T, s sched.State) {
	ctx := t.Context()
	noted, err := s.Note(ctx, "job", at(3))
	ok(t, err)
	if noted.Job != "job" || noted.Instant != at(3) || !noted.Ended {
		t.Fatalf("%+v", noted)
	}
	is(t, s, noted)
	again, err := s.Note(ctx, "job", at(5))
	ok(t, err)
	if again != noted {
		t.Fatalf("%+v, noted was %+v", again, noted)
	}
	is(t, s, noted)
	_, err = s.Begin(ctx, "job", at(3))
	stale(t, err)
	begun, err := s.Begin(ctx, "job", at(4))
	ok(t, err)
	if begun.Fence <= noted.Fence {
		t.Fatalf("fence %d after %d", begun.Fence, noted.Fence)
	}
	again, err = s.Note(ctx, "job", at(9))
	ok(t, err)
	if again != begun {
		t.Fatalf("%+v, begun was %+v", again, begun)
	}
	is(t, s, begun)
}

func testForget(t *testing.T, s sched.State) {
	ctx := t.Context()
	ok(t, s.Forget(ctx, "job"))
	first, err := s.Begin(ctx, "job", at(5))
	ok(t, err)
	other, err := s.Begin(ctx, "job2", at(5))
	ok(t, err)
	ok(t, s.Forget(ctx, "job"))
	is(t, s, sched.Mark{Job: "job"})
	is(t, s, other)
	stale(t, s.End(ctx, first))
	again, err := s.Begin(ctx, "job", at(1)) // an earlier one, too
	ok(t, err)
	if again.Fence <= first.Fence {
		t.Fatalf("fence %d after %d", again.Fence, first.Fence)
	}
	is(t, s, again)
}

// testModel compares random calls with a map.
func testModel(t *testing.T, s sched.State) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 4))
	ctx := t.Context()
	model, fences := map[string]sched.Mark{}, map[string]uint64{}
	for i := range 400 {
		job := fmt.Sprint("job", r.IntN(3))
		old := model[job]
		old.Job = job
		switch r.IntN(8) {
		case 0:
			ok(t, s.Forget(ctx, job))
			delete(model, job)
		case 1, 2, 3:
			m := old
			if r.IntN(3) == 0 {
				m.Fence--
			}
			err := s.End(ctx, m)
			if m.Fence == old.Fence && old.Instant != 0 {
				ok(t, err)
				m.Ended, old.Ended = true, true
				model[job] = m
			} else {
				stale(t, err)
			}
		default:
			instant := at(r.IntN(20))
			m, err := s.Begin(ctx, job, instant)
			if instant < old.Instant || instant == old.Instant && old.Ended {
				stale(t, err)
				break
			}
			ok(t, err)
			if m.Fence <= fences[job] || m.Job != job || m.Instant != instant || m.Ended {
				t.Fatalf("seed %d, call %d: %+v after %+v and fence %d", seed, i, m, old, fences[job])
			}
			model[job], fences[job] = m, m.Fence
		}
		want := model[job]
		want.Job = job
		is(t, s, want)
	}
}

func testSideBySide(t *testing.T, s sched.State) {
	var wg sync.WaitGroup
	for j := range 8 {
		wg.Go(func() {
			job := fmt.Sprint("job", j)
			var last uint64
			for n := range 20 {
				m, err := s.Begin(t.Context(), job, at(n))
				if err == nil {
					err = s.End(t.Context(), m)
				}
				if err != nil || m.Job != job || m.Fence <= last {
					t.Errorf("%+v, %v", m, err)
					return
				}
				last = m.Fence
			}
		})
	}
	wg.Wait()
	for j := range 8 {
		m, err := s.Load(t.Context(), fmt.Sprint("job", j))
		ok(t, err)
		if m.Instant != at(19) || !m.Ended {
			t.Errorf("%+v", m)
		}
	}
}

func testStateContext(t *testing.T, s sched.State) {
	ctx, cancel := context.WithCancel(t.Context())
	m, err := s.Begin(ctx, "job", at(1))
	ok(t, err)
	cancel()
	if _, err := s.Begin(ctx, "job", at(2)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := s.Note(ctx, "job2", at(2)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := s.End(ctx, m); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := s.Forget(ctx, "job"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := s.Load(ctx, "job"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	is(t, s, m)
}
