package saga

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/weir-go/weir/idem"
)

// MaxID is how long the ID of a saga may be, in bytes.
const MaxID = 256

// Config says what a Runner works with. Log, Idem and Definitions must be set.
type Config struct {
	Log         Log
	Idem        *idem.Client // its Store must last as long as the Log
	Definitions []*Definition

	MaxRunning int // sagas at once; the next one is refused, ErrFull. Recover's come on top, as many. 0: 256
	MaxOrphans int // calls that ignore the end of their context, from which on Run refuses. 0: 64
	MaxInput   int // bytes of a saga's input. 0: 64 KiB
	MaxResult  int // bytes of an action's result that are kept; a larger one counts as nil, Stats.Omitted. 0: 16 KiB

	// Lease is how long the owner of a call may be silent until idem takes him
	// for dead, and Retain how long idem remembers a call. A saga that is open
	// for longer than Retain may have compensations called with Attempt.Maybe
	// that would not be called otherwise. 0: 30 s, and 30 days.
	Lease  time.Duration
	Retain time.Duration

	Grace time.Duration // how long a call may go on when its context has ended. 0: 1 s
	Write time.Duration // how long the Log may take for one record. 0: 5 s
}

// Runner runs sagas. Its methods may be called from any goroutine. The
// goroutines it has are those of calls (Call.Run), and during Recover those that
// go on with sagas.
type Runner struct {
	cfg   Config
	plans map[string]*plan
	count counters

	life context.Context // ended by Close
	end  context.CancelFunc

	mu     sync.Mutex
	closed bool
	at     map[string]struct{} // sagas that it is at
	busy   sync.WaitGroup      // those, and calls
}

// Outcome is how a saga ended, or that it is stuck.
type Outcome struct {
	ID       string
	State    State    // Succeeded, Compensated or Stuck
	Results  [][]byte // of the actions, in the order of the steps; nil where there is none
	Reason   string   // why it was aborted, or is stuck
	Step     string   // where it is stuck
	Replayed bool     // it had ended before
}

// NewRunner returns a Runner. The error is ErrConfig. Close it when done.
func NewRunner(cfg Config) (*Runner, error) {
	if cfg.Log == nil || cfg.Idem == nil || cfg.Idem.Store == nil || len(cfg.Definitions) == 0 {
		return nil, fmt.Errorf("%w: Log, Idem and Definitions must be set", ErrConfig)
	}
	if cfg.MaxRunning < 0 || cfg.MaxOrphans < 0 || cfg.MaxInput < 0 || cfg.MaxResult < 0 ||
		cfg.Lease < 0 || cfg.Retain < 0 || cfg.Grace < 0 || cfg.Write < 0 {
		return nil, fmt.Errorf("%w: a negative limit", ErrConfig)
	}
	cfg.MaxRunning = or(cfg.MaxRunning, 256)
	cfg.MaxOrphans = or(cfg.MaxOrphans, 64)
	cfg.MaxInput = or(cfg.MaxInput, 64<<10)
	cfg.MaxResult = or(cfg.MaxResult, 16<<10)
	cfg.Lease = or(cfg.Lease, 30*time.Second)
	cfg.Retain = or(cfg.Retain, 30*24*time.Hour)
	cfg.Grace = or(cfg.Grace, time.Second)
	cfg.Write = or(cfg.Write, 5*time.Second)
	if cfg.Retain < cfg.Lease {
		return nil, fmt.Errorf("%w: Retain is less than Lease", ErrConfig)
	}
	r := &Runner{cfg: cfg, plans: make(map[string]*plan), at: make(map[string]struct{})}
	for _, d := range cfg.Definitions {
		p, err := newPlan(d)
		if err != nil {
			return nil, err
		}
		if r.plans[p.name] != nil {
			return nil, fmt.Errorf("%w: two definitions are called %q", ErrConfig, p.name)
		}
		r.plans[p.name] = p
	}
	r.life, r.end = context.WithCancel(context.Background())
	return r, nil
}

// Run begins a saga and returns how it ended. An ID that was used before gives
// the outcome of then, or ErrOpen, or ErrMismatch if the input was another.
// input is what every step sees; it must not be changed afterwards. The ID is at
// most MaxID bytes of UTF-8.
//
// It returns when the saga has ended or is stuck, which can take as long as all
// tries of all compensations with the pauses between them. It calls steps on
// other goroutines, one at a time.
//
// When ctx ends before the pivot, the saga is aborted and compensated; behind
// it, and while compensating, ctx has no say.
func (r *Runner) Run(ctx context.Context, definition, id string, input []byte) (Outcome, error) {
	p := r.plans[definition]
	switch {
	case p == nil:
		return Outcome{}, &Error{ID: id, Err: ErrUndefined, Cause: fmt.Errorf("%q", definition)}
	case id == "" || len(id) > MaxID || !utf8.ValidString(id):
		return Outcome{}, &Error{ID: id[:min(len(id), MaxID)], Err: ErrID}
	case len(input) > r.cfg.MaxInput:
		return Outcome{}, &Error{ID: id, Err: ErrTooLarge, Cause: fmt.Errorf("input of %d bytes, limit %d", len(input), r.cfg.MaxInput)}
	case ctx.Err() != nil:
		return Outcome{}, &Error{ID: id, Err: ctx.Err()}
	}
	if err := r.enter(id, false); err != nil {
		return Outcome{}, err
	}
	defer r.leave(id)
	rec := Record{ID: id, Definition: p.name, Print: p.print, Pivot: p.pivot, Version: 1, Fence: 1,
		State: Running, Input: input, Begun: time.Now(), Steps: make([]StepRecord, len(p.steps))}
	for i := range rec.Steps {
		rec.Steps[i].State = Pending
	}
	// A caller who leaves now is seen in front of the first call.
	err := r.write(context.WithoutCancel(ctx), func(ctx context.Context) error { return r.cfg.Log.Create(ctx, &rec) })
	switch {
	case errors.Is(err, ErrExists):
		return r.again(ctx, p, id, input)
	case errors.Is(err, ErrFull):
		r.count.refused.Add(1)
		return Outcome{}, &Error{ID: id, Err: ErrFull, Cause: err}
	case err != nil:
		return Outcome{}, &Error{ID: id, Err: ErrLog, Cause: err}
	}
	r.count.begun.Add(1)
	w := &walk{r: r, plan: p, rec: rec, caller: ctx, life: r.life}
	return w.run()
}

// again answers for a saga that was begun before.
func (r *Runner) again(ctx context.Context, p *plan, id string, input []byte) (Outcome, error) {
	rec, err := r.Lookup(ctx, id)
	switch {
	case err != nil:
		return Outcome{}, err
	case rec.Definition != p.name || subtle.ConstantTimeCompare(rec.Input, input) == 0:
		return Outcome{}, &Error{ID: id, Err: ErrMismatch}
	case !rec.State.Ended():
		return Outcome{}, &Error{ID: id, Err: ErrOpen, Cause: fmt.Errorf("%s", rec.State)}
	}
	r.count.replayed.Add(1)
	o := outcome(&rec, p)
	o.Replayed = true
	return o, nil
}

// Lookup returns what is known about a saga: ErrNotFound when nothing is.
func (r *Runner) Lookup(ctx context.Context, id string) (Record, error) {
	var rec Record
	err := r.write(ctx, func(ctx context.Context) (err error) {
		rec, err = r.cfg.Log.Load(ctx, id)
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return rec, &Error{ID: id, Err: ErrNotFound}
	case err != nil:
		return rec, &Error{ID: id, Err: ErrLog, Cause: err}
	}
	return rec, nil
}

// write asks the Log, as long as it may take.
func (r *Runner) write(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Write)
	defer cancel()
	err := f(ctx)
	if err != nil && !errors.Is(err, ErrExists) && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrFull) {
		r.count.logErrors.Add(1)
	}
	return err
}

// enter notes that r is at a saga, unless it is or there is no room. Recover has
// its own limit, and always finds room.
func (r *Runner) enter(id string, always bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, at := r.at[id]
	switch {
	case r.closed:
		return &Error{ID: id, Err: ErrClosed}
	case at:
		return &Error{ID: id, Err: ErrBusy}
	case !always && len(r.at) >= r.cfg.MaxRunning:
		r.count.refused.Add(1)
		return &Error{ID: id, Err: ErrFull, Cause: fmt.Errorf("%d sagas run", len(r.at))}
	case !always && r.count.orphans.Load() >= int64(r.cfg.MaxOrphans):
		r.count.refused.Add(1)
		return &Error{ID: id, Err: ErrFull, Cause: fmt.Errorf("%d calls do not end", r.count.orphans.Load())}
	}
	r.at[id] = struct{}{}
	r.busy.Add(1)
	return nil
}

func (r *Runner) leave(id string) {
	r.mu.Lock()
	delete(r.at, id)
	r.mu.Unlock()
	r.busy.Done()
}

// Close stops all sagas where they are; they stay open, for the next Recover.
// The contexts of calls end. It waits for them until ctx ends, whose error it
// returns then. Calls of methods after it get ErrClosed.
func (r *Runner) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.end()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		r.busy.Wait()
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func outcome(rec *Record, p *plan) Outcome {
	o := Outcome{ID: rec.ID, State: rec.State, Reason: rec.Reason}
	for _, s := range rec.Steps {
		o.Results = append(o.Results, s.Result)
	}
	if rec.State == Stuck {
		o.Reason, o.Step = rec.Steps[rec.At].Reason, p.names[rec.At]
	}
	return o
}
