// Package sched lets jobs run when they are due, and says of every instant what
// became of it.
//
//	Trigger        Scheduler                                   bodies
//	┌───────┐      ┌────────┐  overlap  ┌───────┐   gates   ┌─────────┐
//	│ Every │ Next │  due:  │  misfire  │ queue │  rate     │ workers │
//	│ Cron  ├─────►│ decide ├──────────►│ by    ├──────────►│ on a    │
//	│ At    │      │        │           │ prio  │ resources │ pool    │
//	└───────┘      └───┬────┘           └───┬───┘           └────┬────┘
//	               skipped, coalesced    dropped       ran, failed, orphaned
//	                   └────────────────────┴───────────────────┘
//	                              one line of the ledger
//
// # What a job is
//
// A Job is a Body, a Trigger and policies, all of which have a default that is
// safe: an instant that comes while the body still runs is skipped (Overlap), many
// that nobody was there for are one run that knows how many (Misfire), what fails
// has failed (Retry), and what ignores the end of its context keeps its place
// (Orphan). Add takes one and returns a Task, with which it is cancelled, paused,
// run by hand, or given another Trigger. In is for a one-shot that says nothing
// else, and Submit for producers, who are told when a queue is full.
//
// Whatever is below a context ends with it: In and Add take a parent, and its end
// reaches what waits and what runs at once, without a goroutine for each.
//
// # Where a fire becomes a run
//
// There is one place: a worker that takes the next run from those that wait, by
// priority, and only one whose queue, rate and resources have room. What a run
// needs and is not there it waits for without a worker and without holding
// anything. So the workers are never all taken by jobs that wait for a pool of
// connections.
//
// # Time
//
// Instants are names: what the trigger said, the same in every replica and after
// a restart. When an instant has come is another matter. For triggers that
// measure time (Every, After) it is counted on the monotonic clock: who sets the
// wall clock changes nothing. For those that follow the wall clock (Cron, At)
// what it shows counts: set forward, what was passed over is a misfire; set back
// by less than three hours, nothing runs again.
//
// # After the end of the process
//
// A Durable job's State says how far it came: the mark is written before the body
// is called. A Guarded job asks a Guard, so that of several replicas that all
// fire one executes. The name of the run, its Key, is the same for all of them.
//
// # Goroutines and locks
//
// A Scheduler has its clock's goroutine, which decides, and workers, as many as
// there are bodies to call at a time. One lock guards everything; it is never
// held while a Trigger, Body, Guard, State or Config.Line is called. Close drains,
// then cancels, then says who did not listen, and uses no processor while it
// waits.
package sched
