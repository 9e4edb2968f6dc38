package saga

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weir-go/weir/idem"
)

// MaxSteps is how many steps a Definition may have.
const MaxSteps = 64

// Definition is a kind of saga: its steps, in order. It must not be changed
// once a Runner has it.
type Definition struct {
	Name  string // as the Space of an idem.Key: letters, digits, '.', '-' and '_'
	Steps []Step
}

// Step is one part of a saga.
type Step struct {
	Name string // unique in the Definition, as a part of an idem.Key's Operation

	Do   Call // the action
	Undo Call // its compensation. Run nil: there is nothing to undo

	// Pivot: once this step may have run there is no way back. A step that is
	// not confirmed from here on is tried again, one behind it even when it is
	// rejected, and when that does not help the saga is stuck. One step at most
	// is a pivot.
	Pivot bool
}

// Call is an action or a compensation, and how it is called.
type Call struct {
	// Run does it, on a goroutine of its own. nil confirms the step, and the
	// result is kept for later steps. An *idem.Failure rejects it for good, and
	// one marked with idem.Transient may be tried again; after both it surely
	// has no effect. Every other error, a panic and running out of time leave
	// the effect unknown.
	Run func(ctx context.Context, a *Attempt) ([]byte, error)

	// Unknown is what to do about a call of which nobody knows whether it had
	// its effect: Redo, Reconcile or Halt. There is no default.
	Unknown Unknown

	Retry   Retry
	Timeout time.Duration // of one try. 0: 10 s
}

// Unknown is what to do when the effect of a call is not known. The zero
// Unknown is none.
type Unknown struct {
	how    byte
	choice idem.Choice
}

const (
	redo byte = iota + 1
	reconcile
	halt
)

// Redo calls again: right when twice is as once, or when the place of the effect
// recognises Attempt.Key or refuses an old Attempt.Fence. What a later call
// says about its own effect proves nothing about that of the first.
func Redo() Unknown { return Unknown{how: redo, choice: idem.Redo()} }

// Reconcile asks f whether it happened. f must not answer "not applied" while
// the call may still have its effect.
func Reconcile(f idem.Reconciler) Unknown { return Unknown{how: reconcile, choice: idem.Reconcile(f)} }

// Halt does not call again. An action is taken back, by a compensation that has
// Attempt.Maybe. From the pivot on, and for a compensation, the saga is stuck: a
// person skips the step, or resolves its key with idem.Client and resumes.
func Halt() Unknown { return Unknown{how: halt, choice: idem.Halt()} }

// Retry is how often a call is tried, and how long to wait before it is tried
// again: First, doubled each time up to Most, of which between half and all.
type Retry struct {
	Tries int           // 0: 3 for an action, 20 for a compensation
	First time.Duration // 0: 100 ms for an action, 1 s for a compensation
	Most  time.Duration // 0: 10 min
}

// pause returns how long to wait after that many tries.
func (r Retry) pause(tries int) time.Duration {
	d := r.First
	for range tries - 1 {
		if d >= r.Most {
			break
		}
		d *= 2
	}
	if d = min(d, r.Most); d < 2 {
		return d
	}
	return d/2 + rand.N(d/2)
}

func (r Retry) or(tries int, first time.Duration) Retry {
	if r.Tries == 0 {
		r.Tries = tries
	}
	if r.First == 0 {
		r.First = first
	}
	if r.Most == 0 {
		r.Most = 10 * time.Minute
	}
	return r
}

// plan is a Definition with what was left out filled in.
type plan struct {
	name  string
	print string // of what must not change under a saga that is open
	steps []Step
	names []string
	pivot int // -1: none
}

func newPlan(d *Definition) (*plan, error) {
	if len(d.Steps) == 0 || len(d.Steps) > MaxSteps {
		return nil, fmt.Errorf("%w: definition %q: %d steps, limit %d", ErrConfig, d.Name, len(d.Steps), MaxSteps)
	}
	p := &plan{name: d.Name, pivot: -1}
	h := sha256.New()
	fmt.Fprintf(h, "%q", d.Name)
	for i, s := range d.Steps {
		bad := s.bad(d.Name)
		switch {
		case bad != "":
		case slices.Contains(p.names, s.Name):
			bad = "another one is called the same"
		case s.Pivot && p.pivot >= 0:
			bad = "a second pivot"
		}
		if bad != "" {
			return nil, fmt.Errorf("%w: definition %q, step %q: %s", ErrConfig, d.Name, s.Name, bad)
		}
		if s.Pivot {
			p.pivot = i
		}
		fmt.Fprintf(h, " %q %v %v", s.Name, s.Pivot, s.Undo.Run != nil)
		s.Do.Retry = s.Do.Retry.or(3, 100*time.Millisecond)
		s.Undo.Retry = s.Undo.Retry.or(20, time.Second)
		s.Do.Timeout = or(s.Do.Timeout, 10*time.Second)
		s.Undo.Timeout = or(s.Undo.Timeout, 10*time.Second)
		p.steps, p.names = append(p.steps, s), append(p.names, s.Name)
	}
	p.print = hex.EncodeToString(h.Sum(nil)[:16])
	return p, nil
}

// bad says what is wrong with a step by itself, of a definition of that name.
func (s *Step) bad(definition string) string {
	for _, op := range []string{doing(s.Name), undoing(s.Name)} {
		if _, err := (idem.Key{Space: definition, Operation: op, ID: "x"}).Name(); err != nil || definition == "" || s.Name == "" {
			return "its name, or that of the definition, is empty or cannot be part of a key"
		}
	}
	switch {
	case s.Do.Run == nil:
		return "no action"
	case s.Do.Unknown.how == 0:
		return "not said what to do when the effect of the action is unknown"
	case s.Undo.Run != nil && s.Undo.Unknown.how == 0:
		return "not said what to do when the effect of the compensation is unknown"
	}
	for _, c := range []Call{s.Do, s.Undo} {
		if c.Timeout < 0 || c.Retry.Tries < 0 || c.Retry.First < 0 || c.Retry.Most < 0 {
			return "a negative limit"
		}
	}
	return ""
}

// The Operation of a step's keys.
func doing(step string) string   { return step + ".do" }
func undoing(step string) string { return step + ".undo" }

func or[T comparable](v, unset T) T {
	var zero T
	if v == zero {
		return unset
	}
	return v
}
