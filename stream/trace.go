package stream

import "github.com/weir-go/weir/bounds"

// Trace is told what a Server does when it cannot serve. Each function may be
// nil. They are called on the session's loop, but for State, and must not block
// nor call into the session except for its addresses and ID. Stats counts the
// same things.
type Trace struct {
	Refused   func(s *Session, method string, why Reason, status *Status) // a stream whose method has not begun
	Ended     func(s *Session, method string, why Reason, status *Status) // a stream, by one of its Limits or for a shortage
	Dismissed func(s *Session)                                            // a session without streams is drained for a shortage

	// State is told that the server has noticed another state of Config.Admit's
	// Verdict, up to a second later, and what it is about. On a goroutine of its
	// own.
	State func(from, to bounds.State, of bounds.Resource)
}

// Reason is why a Server has not served a stream, or not to its end.
type Reason uint8

const (
	ReasonAdmission Reason = iota + 1 // Config.Admit has refused it
	ReasonFarewell                    // its connection was accepted only to be told that there is no room
	ReasonBudget                      // too many bytes wait
	ReasonWorkers                     // all goroutines of methods are busy
	ReasonShortage                    // it was idle, and the process is short of something
	ReasonIdle                        // Limits.Idle
	ReasonReceive                     // Limits.Receive
	ReasonSend                        // Limits.Send
	ReasonAge                         // Limits.Age
)

const reasons = int(ReasonAge) + 1

var reasonNames = [reasons]string{"none", "admission", "farewell", "budget", "workers", "shortage", "idle", "receive", "send", "age"}

// String returns the reason in a word.
func (r Reason) String() string {
	if int(r) < reasons {
		return reasonNames[r]
	}
	return "unknown"
}
