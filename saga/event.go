package saga

import "time"

// Kind says what happens to a saga.
type Kind string

const (
	Intend      Kind = "intend"       // a step is about to be called, or called again
	Confirm     Kind = "confirm"      // it has had its effect
	Reject      Kind = "reject"       // it surely has none, for good
	Doubt       Kind = "doubt"        // nobody knows
	Abort       Kind = "abort"        // the steps that may have run are to be undone
	IntendUndo  Kind = "intend undo"  // a compensation is about to be called, or called again
	ConfirmUndo Kind = "confirm undo" // it has had its effect, or the action surely had none
	Stop        Kind = "stop"         // tried as often as may be: a person has to look
	Resume      Kind = "resume"       // a person says: try again
	Skip        Kind = "skip"         // a person has seen to the step where it is stuck
)

// Event is a transition of a Record.
type Event struct {
	Kind   Kind
	Step   int    // not with Abort, Resume and Skip
	Result []byte // Confirm, Skip: of the action. It is kept
	Reason string // why: Reject, Doubt, Abort, Stop
}

// Apply changes r by e, or returns a *TransitionError and leaves r as it is. It
// does not touch Version and Fence. now is for Ended.
func (r *Record) Apply(e Event, now time.Time) error {
	switch e.Kind {
	case Abort, Resume, Skip:
		if !r.whole(e) {
			return &TransitionError{Event: e.Kind, Saga: r.State, Step: -1}
		}
	default:
		if e.Step < 0 || e.Step >= len(r.Steps) {
			return &TransitionError{Event: e.Kind, Saga: r.State, Step: -1}
		}
		s := &r.Steps[e.Step]
		if !r.fits(e, s.State) {
			return &TransitionError{Event: e.Kind, Saga: r.State, Step: e.Step, State: s.State}
		}
		r.step(e, s)
	}
	switch {
	case r.State == Running && r.next() == len(r.Steps):
		r.State, r.Ended = Succeeded, now
	case r.State == Compensating && r.last() < 0:
		r.State, r.Ended = Compensated, now
	}
	return nil
}

// whole applies an event that is not of one step.
func (r *Record) whole(e Event) bool {
	switch {
	case e.Kind == Abort && r.State == Running && !r.Committed():
		r.State, r.Reason = Compensating, e.Reason
	case e.Kind == Resume && r.State == Stuck:
		r.Steps[r.At].Tries = 0
		r.State, r.From = r.From, ""
	case e.Kind == Skip && r.State == Stuck:
		s := &r.Steps[r.At]
		s.Person, s.Tries = true, 0
		if r.From == Running {
			s.State, s.Result = Done, e.Result
		} else {
			s.State = Undone
		}
		r.State, r.From = r.From, ""
	default:
		return false
	}
	return true
}

// fits reports whether e may happen to its step, which is s.
func (r *Record) fits(e Event, s StepState) bool {
	called := s == Intent || s == InDoubt
	switch e.Kind {
	case Intend:
		return r.State == Running && r.next() == e.Step && (s == Pending || called)
	case Confirm, Reject:
		return r.State == Running && called
	case Doubt:
		return r.State == Running && s == Intent
	case IntendUndo:
		return r.State == Compensating && r.last() == e.Step
	case ConfirmUndo:
		return r.State == Compensating && r.last() == e.Step && s == Undoing
	case Stop:
		// In front of the pivot there is a way back instead.
		return r.State == Running && r.Committed() && r.next() == e.Step && s != Pending ||
			r.State == Compensating && r.last() == e.Step && s == Undoing
	}
	return false
}

// step applies an event that fits to its step.
func (r *Record) step(e Event, s *StepRecord) {
	switch e.Kind {
	case Intend:
		s.State = Intent
		s.Tries++
	case Confirm:
		s.State, s.Tries, s.Result, s.Reason = Done, 0, e.Result, ""
	case Reject:
		s.State, s.Tries, s.Reason = Failed, 0, e.Reason
	case Doubt:
		s.State, s.Reason = InDoubt, e.Reason
	case IntendUndo:
		if s.State != Undoing {
			s.Ran = s.State == Done
			s.State, s.Tries = Undoing, 0
		}
		s.Tries++
	case ConfirmUndo:
		s.State, s.Tries = Undone, 0
	case Stop:
		s.Reason = e.Reason
		r.State, r.From, r.At = Stuck, r.State, e.Step
	}
}

// Committed reports whether the pivot may have run: there is no way back.
func (r *Record) Committed() bool {
	if r.Pivot < 0 {
		return false
	}
	s := r.Steps[r.Pivot].State
	return s == Intent || s == InDoubt || s == Done
}

// next returns the first step that is not confirmed.
func (r *Record) next() int {
	for i, s := range r.Steps {
		if s.State != Done {
			return i
		}
	}
	return len(r.Steps)
}

// last returns the last step that may have run and is not undone, or -1.
func (r *Record) last() int {
	for i := len(r.Steps) - 1; i >= 0; i-- {
		switch r.Steps[i].State {
		case Intent, InDoubt, Done, Undoing:
			return i
		}
	}
	return -1
}
