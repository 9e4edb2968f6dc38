// Package saga does several things, or undoes those that it did: steps, each with
// an action and a compensation, in an order that survives the death of the
// process.
//
//	Run ─► create ─► intend 1 ─► action 1 ─► intend 2 ─► action 2 ─► ... ─► succeeded
//	                    │           │
//	                   Log         idem          one is rejected, or nobody knows
//	                                                            │
//	compensated ◄─ compensation 1 ◄─ intend ◄─ compensation 2 ◄─┘ every step that may have run
//
// A saga, and who moves it:
//
//	running ── last step confirmed ─────────────────────────► succeeded
//	  │ ▲ └─── abort ──► compensating ── nothing left to undo ──► compensated
//	  │ │                   │ ▲
//	  │ │ resume, skip      │ │ resume, skip
//	  ▼ │                   ▼ │
//	 stuck                 stuck
//
// Abort is possible until the pivot may have run. Stuck is where the tries of a
// call are used up: in front of the pivot only those of a compensation.
//
// A step:
//
//	pending ── intend ─► intent ── confirm ─► done ───┐
//	                     │  │  └── doubt ───► unknown ├─ intend undo ─► undoing ── confirm undo ─► undone
//	                     │  └─────────────────────────┘
//	                     └── reject ─► failed
//
// A step that is unknown can do whatever one in intent can: be tried again
// (intend), confirmed, rejected and undone. An undoing step is tried again by
// another intend undo. Pending and failed steps surely had no effect.
//
// Every transition is Record.Apply's to allow; one that does not fit is a
// *TransitionError and changes nothing. A record is written in the Log, by
// compare-and-set of its version and its owner's fence, in front of each call:
// an owner that was taken over is refused (ErrLost) before he can call anything
// else. What came of a call is written together with the next intent: until
// then idem knows it.
//
// # What a call can answer
//
// nil confirms a step. An *idem.Failure rejects it: it surely has no effect, and
// the saga turns back. An error marked with idem.Transient surely has no effect
// either, and is tried again. Everything else, a panic and running out of time
// too, is unknown, and never taken for a failure: the call is tried again under
// the same key, as Call.Unknown says, and when that does not help the step is
// compensated as one that may have run (Attempt.Maybe).
//
// # Compensation
//
// Backwards, every step that may have run. The first thing is to withdraw the
// action: its key in idem is ended, so that an action that comes late is refused.
// If that shows that it surely never ran, nothing is called: the compensation
// is empty and the ended key its tombstone. An action that is still under way,
// even though its time is up, is waited for.
//
// A compensation cannot be rejected, nor can a step behind the pivot: what it says
// holds for this try. It is tried again and again, with growing pauses, and then the
// saga is stuck, for a person to Resume, or to see to the step and Skip it.
//
// # Keys
//
// Step "stock" of saga "4711" of definition "order" goes through idem as
// {order, stock.do, 4711}, and its compensation as {order, stock.undo, 4711}.
// Both stores must last: a Log in a file (package boltlog) wants an idem.Store in
// a file (package boltstore).
//
// # What is promised
//
// A saga that was begun, and whose Log and Store are not lost, ends succeeded,
// with every step confirmed, or compensated, with every step that may have run
// compensated, or is stuck and says where. Recover, at the start of a process,
// sees to those that were open.
//
// # What is not
//
// An effect takes place once only as far as idem can know: see there. The
// place of the effect should check Attempt.Idem.Fence, or recognise its Key.
// Nothing isolates sagas from each other: others see what a step did before it is
// undone. Retain bounds how long a late action is refused.
package saga
