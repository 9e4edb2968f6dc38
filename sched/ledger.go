package sched

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/weir-go/weir/timer"
)

// Outcome is how a fire ended. Every fire ends in exactly one.
type Outcome uint8

const (
	Ran       Outcome = iota // the body returned nil
	Failed                   // the last try did not
	Retried                  // the body returned nil, but not at the first try
	Skipped                  // by the job's own policy: misfire, overlap, pause
	Coalesced                // another run stands for it
	Dropped                  // there was no room, or no time left
	Cancelled                // the task, its parent or the Scheduler ended before the run did
	Orphaned                 // the body goes on although its context has ended
	outcomes
)

var outcomeNames = [...]string{"ran", "failed", "retried", "skipped", "coalesced", "dropped", "cancelled", "orphaned"}

func (o Outcome) String() string {
	if o < outcomes {
		return outcomeNames[o]
	}
	return fmt.Sprintf("outcome %d", uint8(o))
}

// MarshalText returns the name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads a name, so that what WriteLedger has written can be read
// again.
func (o *Outcome) UnmarshalText(p []byte) error {
	i := slices.Index(outcomeNames[:], string(p))
	if i < 0 {
		return fmt.Errorf("sched: no outcome is called %q", p)
	}
	*o = Outcome(i)
	return nil
}

// Reason says why an outcome is not Ran.
type Reason uint8

const (
	NoReason    Reason = iota
	BodyFailed         // the body returned an error
	Panicked           // or panicked
	TimedOut           // Timeout
	TooLate            // Deadline
	Missed             // nobody was there at the instant
	Overlapped         // a run of before had not ended
	Orphans            // its body ignores the end of its context
	BufferFull         // as many instants of the job wait as may
	QueueFull          // as many runs of the queue wait as may
	Pushed             // a newer run took the place in the queue, or in the job's buffer
	Paused             // the task was paused
	Stopped            // Task.Cancel
	ParentEnded        // the context that the task was added with
	Replaced           // CancelOther
	Rescheduled        // Task.Reschedule
	Closed             // Scheduler.Close
	Taken              // another replica has it
	HoldLost           // and has it by now
	GuardFailed        // the Guard did not answer
	StateFailed        // nor the State
	Stale              // the State has a later instant
	CutOff             // the process ended in the middle of the run
	TriggerPanicked
	reasons
)

var reasonNames = [...]string{"", "error", "panic", "timeout", "deadline", "missed", "overlap", "orphan",
	"buffer full", "queue full", "pushed out", "paused", "cancelled", "parent ended", "replaced", "rescheduled",
	"closed", "taken", "hold lost", "guard", "state", "stale", "cut off", "trigger panic"}

func (r Reason) String() string {
	if r < reasons {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// MarshalText returns the name.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a name.
func (r *Reason) UnmarshalText(p []byte) error {
	i := slices.Index(reasonNames[:], string(p))
	if i < 0 {
		return fmt.Errorf("sched: no reason is called %q", p)
	}
	*r = Reason(i)
	return nil
}

// A Line of the ledger is what became of a fire. Skipped and coalesced instants
// that follow each other are one line.
type Line struct {
	Job     string  `json:"job,omitempty"`
	Type    string  `json:"type"`
	Queue   string  `json:"queue,omitempty"`
	Task    uint64  `json:"task"` // number of the Task
	Outcome Outcome `json:"outcome"`
	Reason  Reason  `json:"reason,omitempty"`

	// Count is how many instants the line is about, from First to Instant.
	Instant time.Time `json:"instant"`
	First   time.Time `json:"first,omitzero"` // zero: Count is 1
	Count   uint64    `json:"count"`
	Manual  bool      `json:"manual,omitempty"` // asked for by Run or Submit

	Tries int    `json:"tries,omitempty"`
	Err   string `json:"err,omitempty"`   // of the last try, or what the trigger panicked with; its first 4 KiB
	Stack string `json:"stack,omitempty"` // likewise, if it panicked

	// How long after the instant it was decided what to do, the last try began
	// (zero if none did), and this line was written. Negative: before it.
	Decided time.Duration `json:"decided_ns"`
	Began   time.Duration `json:"began_ns,omitempty"`
	Ended   time.Duration `json:"ended_ns"`
}

// entry is a Line as it is kept: what can be told from the task is not in it.
type entry struct {
	spec           *spec
	task           uint64
	instant, first Instant
	count          uint64
	due            timer.Time
	decided, began timer.Time
	ended          timer.Time
	err            error
	tries          int32
	outcome        Outcome
	reason         Reason
	manual         bool
}

func (e *entry) line() Line {
	l := Line{Job: e.spec.Name, Type: e.spec.Type, Queue: e.spec.Queue, Task: e.task, Outcome: e.outcome, Reason: e.reason,
		Instant: e.instant.Time(), Count: e.count, Manual: e.manual, Tries: int(e.tries),
		Decided: e.decided.Sub(e.due), Ended: e.ended.Sub(e.due)}
	if e.count > 1 {
		l.First = e.first.Time()
	}
	if e.began != 0 {
		l.Began = e.began.Sub(e.due)
	}
	if e.err != nil {
		l.Err = e.err.Error()
	}
	if f, ok := e.err.(*failure); ok {
		l.Stack = f.stack
	}
	return l
}

// ledger is the last so many lines, and counters of all. It belongs to the
// Scheduler's lock.
type ledger struct {
	most  int
	ring  []entry
	next  int
	count [outcomes][reasons]uint64 // instants
	lines uint64
}

// write adds a line in place of the oldest.
func (l *ledger) write(e entry) {
	l.lines++
	l.count[e.outcome][e.reason] += e.count
	if len(l.ring) < l.most {
		l.ring = append(l.ring, e)
		return
	}
	l.ring[l.next] = e
	if l.next++; l.next == l.most {
		l.next = 0
	}
}

// Filter chooses lines. The zero value chooses all.
type Filter struct {
	Job      string    // of this name
	Type     string    // of this type
	Queue    string    // of this queue
	Outcomes []Outcome // one of these
	Reasons  []Reason  // one of these
	Since    time.Time // with an instant from then on
	Before   time.Time // with an instant before
	Last     int       // so many of them, the newest
}

func (f *Filter) takes(e *entry) bool {
	return (f.Job == "" || f.Job == e.spec.Name) && (f.Type == "" || f.Type == e.spec.Type) &&
		(f.Queue == "" || f.Queue == e.spec.Queue) &&
		in(f.Outcomes, e.outcome) && in(f.Reasons, e.reason) &&
		(f.Since.IsZero() || e.instant >= InstantOf(f.Since)) &&
		(f.Before.IsZero() || e.instant < InstantOf(f.Before))
}

// in reports whether x is among them, or there is no choice.
func in[T comparable](list []T, x T) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return len(list) == 0
}

// Ledger returns the lines that are kept and that the filter takes, the oldest
// first. Config.Ledger says how many are kept; Stats counts all.
func (s *Scheduler) Ledger(f Filter) []Line {
	var found []entry
	s.mu.Lock()
	for i := range s.ledger.ring {
		e := &s.ledger.ring[(s.ledger.next+i)%len(s.ledger.ring)]
		if f.takes(e) {
			found = append(found, *e)
		}
	}
	s.mu.Unlock()
	if f.Last > 0 && len(found) > f.Last {
		found = found[len(found)-f.Last:]
	}
	lines := make([]Line, len(found))
	for i := range found {
		lines[i] = found[i].line()
	}
	return lines
}

// WriteLedger writes the lines that Ledger returns as JSON, one a line. The
// error is the writer's.
func (s *Scheduler) WriteLedger(w io.Writer, f Filter) error {
	enc := json.NewEncoder(w)
	for _, l := range s.Ledger(f) {
		if err := enc.Encode(l); err != nil {
			return err
		}
	}
	return nil
}
