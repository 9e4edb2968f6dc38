package saga

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// State is how far a saga is.
type State string

const (
	Running      State = "running"
	Succeeded    State = "succeeded" // every step is confirmed
	Compensating State = "compensating"
	Compensated  State = "compensated" // every step that may have run is undone
	Stuck        State = "stuck"       // a person has to look
)

// Ended reports whether nothing will change any more.
func (s State) Ended() bool { return s == Succeeded || s == Compensated }

// StepState is how far a step is.
type StepState string

const (
	Pending StepState = "pending" // surely not called
	Intent  StepState = "intent"  // about to be called, or called
	Done    StepState = "done"    // confirmed
	Failed  StepState = "failed"  // surely without an effect, for good
	InDoubt StepState = "unknown" // called, and nobody knows
	Undoing StepState = "undoing" // the compensation is about to be called, or called
	Undone  StepState = "undone"  // the compensation is confirmed, or there was nothing to undo
)

// StepRecord is what is known about a step.
type StepRecord struct {
	State  StepState `json:"state"`
	Tries  int       `json:"tries,omitempty"`  // of what is being tried: the action, or the compensation
	Result []byte    `json:"result,omitempty"` // of the action
	Reason string    `json:"reason,omitempty"` // the last that went wrong
	Ran    bool      `json:"ran,omitempty"`    // of a step that is being undone: it was confirmed
	Person bool      `json:"person,omitempty"` // a person has said that it is done, or undone
}

// Record is all that is known about a saga, and the rules by which it changes
// (Apply). A Log keeps it.
type Record struct {
	ID         string       `json:"id"`
	Definition string       `json:"definition"`
	Print      string       `json:"print"`   // of the definition
	Pivot      int          `json:"pivot"`   // -1: none
	Version    uint64       `json:"version"` // rises by one with each write
	Fence      uint64       `json:"fence"`   // rises by one with each owner
	State      State        `json:"state"`
	From       State        `json:"from,omitempty"`   // of a stuck saga: what it was
	At         int          `json:"at"`               // of a stuck saga: the step
	Reason     string       `json:"reason,omitempty"` // why it was aborted
	Input      []byte       `json:"input,omitempty"`
	Begun      time.Time    `json:"begun"`
	Ended      time.Time    `json:"ended,omitzero"`
	Steps      []StepRecord `json:"steps"`
}

// Clone returns a copy that shares nothing with r.
func (r *Record) Clone() Record {
	c := *r
	c.Input = slices.Clone(r.Input)
	c.Steps = slices.Clone(r.Steps)
	for i := range c.Steps {
		c.Steps[i].Result = slices.Clone(c.Steps[i].Result)
	}
	return c
}

// AppendBinary appends r, for a Log that keeps bytes. It is JSON, for people
// who look into a file.
func (r *Record) AppendBinary(b []byte) ([]byte, error) {
	j, err := json.Marshal(r)
	if err != nil {
		return b, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return append(b, j...), nil
}

// UnmarshalBinary sets r to what AppendBinary has written. After an error,
// ErrRecord, r is as it was.
func (r *Record) UnmarshalBinary(b []byte) error {
	var n Record
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if !n.valid() {
		return fmt.Errorf("%w: %.100q", ErrRecord, b)
	}
	*r = n
	return nil
}

// valid reports whether r can be worked with: Apply and a Runner do not look
// outside of what it has.
func (r *Record) valid() bool {
	if r.ID == "" || len(r.Steps) == 0 || len(r.Steps) > MaxSteps || r.Pivot < -1 || r.Pivot >= len(r.Steps) {
		return false
	}
	switch r.State {
	case Running, Succeeded, Compensating, Compensated:
		if r.From != "" {
			return false
		}
	case Stuck:
		if r.From != Running && r.From != Compensating || r.At < 0 || r.At >= len(r.Steps) {
			return false
		}
	default:
		return false
	}
	for _, s := range r.Steps {
		switch s.State {
		case Pending, Intent, Done, Failed, InDoubt, Undoing, Undone:
		default:
			return false
		}
	}
	// There is something left to do.
	return (r.State != Running && r.From != Running || r.next() < len(r.Steps)) &&
		(r.State != Compensating && r.From != Compensating || r.last() >= 0)
}
