// Package idem does a thing once, or not at all, for everybody who asks for it
// under the same key.
//
//	caller ─► Do(key, request, policy, fn)
//	             │
//	             ▼        new, or released
//	  ┌─────── Begin ──────────────────────────► fn ──► Finish ─► its result
//	  │          │   └─ its owner died: Policy.Unknown decides
//	  │          │        Redo ──────────────────► fn
//	  │          │        Reconcile ─ applied ─────────► Finish
//	  │          │           ├ not applied ──────► fn
//	  │          │           └ cannot tell ──► halted: ErrUnknown
//	  │          │        Halt ──────────────► halted: ErrUnknown
//	  │          ├─ done ───► the stored result, Replayed
//	  │          ├─ failed ─► the stored *Failure, Replayed
//	  │          ├─ busy ───► ErrBusy, or wait and ask again
//	  └─ other request ─► ErrMismatch      too many owners died ─► ErrStuck
//
// A record of the key lives in a Store: this package's Memory, the file of
// package boltstore, or a server. Stores that several processes share make
// what Do promises hold among them.
//
//	(absent) ──Begin──► running ──Finish──► done, failed: replayed until retention ends
//	    ▲                │  ▲ │ └─Finish──► unknown: until a person has decided (Resolve)
//	    │     lease over │  │ └───Finish──► released: the effect surely did not happen
//	    │                ▼  │                  │
//	    │              Begin by another ◄──────┘
//	    └── retention over
//
// The owner of a running record holds a lease that heartbeats renew while fn
// runs. A record does not go away when its lease ends: that would turn a crash
// into "never happened". It says that its owner died and that nobody knows
// whether the effect took place, and there is no right answer to that which
// holds for every operation. So Policy.Unknown has to be chosen.
//
// # What is promised
//
// At any time one caller at most holds a live lease of a key, and what was
// finished is what everybody gets. fn's context ends before the lease can, by
// the owner's own clock, so that an owner that was cut off stops by itself.
// Each owner has a fence, greater than those before.
//
// # What is not
//
// A process that stalls between its last look at the context and the effect
// can still cause it after another one took over. Only the place where the
// effect happens can refuse that: hand it Attempt.Fence and let it turn down a
// fence below the highest it has seen. Where it cannot, and the effect is not
// in one transaction with the record, nobody has "exactly once"; the counters
// Stats.Lost and Stats.Healed then say when it may have gone wrong.
//
// # Errors of fn
//
// nil stores the result. A *Failure is a final answer and is stored too. An
// error marked with Transient says that the effect surely did not happen: the
// key is free again. Every other error, a panic too, leaves the effect unknown,
// as if the owner had died.
package idem
