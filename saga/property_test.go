package saga_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/saga"
)

var errCrash = errors.New("the process has died")

// dying is a Log that dies with its process at one write, which is made or not,
// and answers nothing from then on.
type dying struct {
	saga.Log
	mu      sync.Mutex
	left    int // writes until then; negative: never
	written bool
	dead    bool
}

func (d *dying) write(f func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errCrash
	}
	if d.left--; d.left != -1 {
		return f()
	}
	d.dead = true
	if d.written {
		f()
	}
	return errCrash
}

func (d *dying) Create(ctx context.Context, r *saga.Record) error {
	return d.write(func() error { return d.Log.Create(ctx, r) })
}

func (d *dying) Write(ctx context.Context, r *saga.Record, version, fence uint64) error {
	return d.write(func() error { return d.Log.Write(ctx, r, version, fence) })
}

// world is where the effects are: how often each has happened.
type world struct {
	mu     sync.Mutex
	rng    *rand.Rand
	counts map[string]int
	hand   map[string]bool // steps that a person has seen to
}

func (w *world) count(k idem.Key) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[k.Operation]
}

func (w *world) effect(k idem.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[k.Operation]++
}

func (w *world) dice(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// run is what an action or a compensation does: everything that can go wrong.
func (w *world) run(ctx context.Context, a *saga.Attempt) ([]byte, error) {
	k := a.Idem.Key
	switch w.dice(16) {
	case 0:
		return nil, idem.Transient(errors.New("not now"))
	case 1:
		return nil, &idem.Failure{Reason: "no"}
	case 2:
		return nil, errors.New("lost on the way there")
	case 3:
		w.effect(k)
		return nil, errors.New("lost on the way back")
	case 4:
		panic("before")
	case 5:
		w.effect(k)
		panic("after")
	case 6:
		if w.dice(2) == 0 {
			w.effect(k)
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	w.effect(k)
	return []byte(k.Operation), nil
}

func (w *world) find(ctx context.Context, a *idem.Attempt) (idem.Finding, error) {
	switch {
	case w.dice(8) == 0:
		return idem.Finding{}, errors.New("cannot be asked")
	case w.count(a.Key) > 0:
		return idem.Applied([]byte(a.Key.Operation)), nil
	}
	return idem.NotApplied(), nil
}

func (w *world) definition() *saga.Definition {
	d := &saga.Definition{Name: "random"}
	at := saga.Retry{Tries: 1 + w.rng.IntN(4), First: 1, Most: 1}
	pivot := w.rng.IntN(8) // often none
	for i := range 1 + w.rng.IntN(5) {
		call := saga.Call{Run: w.run, Unknown: saga.Reconcile(w.find), Retry: at, Timeout: 5 * time.Millisecond}
		s := saga.Step{Name: fmt.Sprint("step", i), Do: call, Pivot: i == pivot}
		if w.rng.IntN(6) > 0 {
			s.Undo = call
		}
		d.Steps = append(d.Steps, s)
	}
	return d
}

// TestRandom: whatever goes wrong and wherever the process dies, in the end every
// step has had its effect once, or every effect there was is undone once.
func TestRandom(t *testing.T) {
	states := map[saga.State]int{}
	crashes := 0
	for range 400 {
		seed := rand.Uint64()
		if s := os.Getenv("SAGA_SEED"); s != "" { // one that has failed
			fmt.Sscan(s, &seed)
		}
		synctest.Test(t, func(t *testing.T) { // a slow machine lets no call run out of time that was not to
			state, n := randomSaga(t, seed)
			states[state]++
			crashes += n
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%v, %d crashes", states, crashes)
	if states[saga.Succeeded] == 0 || states[saga.Compensated] == 0 || crashes == 0 {
		t.Error("that has not tried much")
	}
}

func randomSaga(t *testing.T, seed uint64) (saga.State, int) {
	w := &world{rng: rand.New(rand.NewPCG(seed, 0)), counts: map[string]int{}, hand: map[string]bool{}}
	d, log, store := w.definition(), new(saga.Memory), new(idem.Memory)
	crashes := 0
	for round := 0; round < 200; round++ {
		l := &dying{Log: log, left: -1}
		if w.dice(10) < 8 && round < 20 {
			l.left, l.written = w.dice(12), w.dice(2) == 0
		}
		r, err := saga.NewRunner(saga.Config{Log: l, Idem: &idem.Client{Store: store}, Definitions: []*saga.Definition{d}})
		if err != nil {
			t.Fatal(err)
		}
		o, err := r.Run(t.Context(), "random", "x", nil)
		if errors.Is(err, saga.ErrOpen) {
			o, err = w.goOn(t, r, d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		switch {
		case errors.Is(err, errCrash):
			crashes++
		case err != nil:
			t.Errorf("seed %d: %v", seed, err)
			return "", crashes
		case o.State.Ended():
			w.check(t, d, o)
			return o.State, crashes
		}
	}
	t.Errorf("seed %d: does not end", seed)
	return "", crashes
}

// goOn is the start of a process, and a person for what is stuck.
func (w *world) goOn(t *testing.T, r *saga.Runner, d *saga.Definition) (saga.Outcome, error) {
	if _, err := r.Recover(t.Context()); err != nil {
		return saga.Outcome{}, err
	}
	rec, err := r.Lookup(t.Context(), "x")
	if err != nil || rec.State != saga.Stuck {
		return saga.Outcome{State: rec.State}, err
	}
	// What is done by hand is not left to the program again: it does not know.
	by := fmt.Sprint(rec.From, rec.At)
	if w.dice(2) == 0 && !w.hand[by] {
		return r.Resume(t.Context(), "x")
	}
	// The person looks, and does what has not happened.
	step := d.Steps[rec.At].Name
	w.hand[by] = true
	w.mu.Lock()
	switch {
	case rec.From == saga.Running:
		w.counts[step+".do"] = 1
	case w.counts[step+".do"] == 1 && d.Steps[rec.At].Undo.Run != nil:
		w.counts[step+".undo"] = 1
	}
	w.mu.Unlock()
	return r.Skip(t.Context(), "x", step, []byte("by hand"))
}

func (w *world) check(t *testing.T, d *saga.Definition, o saga.Outcome) {
	for _, s := range d.Steps {
		did, undid := w.counts[s.Name+".do"], w.counts[s.Name+".undo"]
		want := 0
		if s.Undo.Run != nil {
			want = did
		}
		switch {
		case o.State == saga.Succeeded && (did != 1 || undid != 0),
			o.State == saga.Compensated && (did > 1 || undid != want):
			t.Errorf("%s: %s was done %d times and undone %d times", o.State, s.Name, did, undid)
		}
	}
}
