// Package bounds keeps a process within what it may hold, so that it can always
// still answer. It counts descriptors before they are opened, watches whatever
// else may run out, and says in steps what is to be done without.
//
//	Take(class) ─► descriptors: counted, shares, reserve ──┐
//	the kernel's own count, now and then ──────────────────┤ load
//	Watch(Memory, ...), Watch(Goroutines, ...) ────────────┼──────► a state each
//	Exhausted(...): the kernel has said so itself ─────────┘             │ the worst, named
//	                                                                     ▼
//	Take, Admit, Verdict ◄────────────────────────────────────────── Verdict
//
// A process has one Bounds, which its runtimes share (conn.Config.Bounds).
//
// # The states
//
//	        85 % for 1 s          90 %                 97 %, or none left
//	Normal ─────────────► Shed ─────────► Critical ─────────► Hard
//	       ◄───────────── 75 %  ◄──────── 80 %      ◄──────── 90 %
//	         5 s below           10 s below          10 s below
//
// What a state takes away it takes away in addition to those before it:
//
//	Normal    nothing
//	Shed      new streams: Admit refuses them, and says when to come back
//	Critical  new connections: their listeners wait
//	Hard      own connections, files: all but what shows how the process is, and
//	          connections that are told that they are not let in
//
// The way up may leave out states, the way down does not: each must have been
// calm for its time, counted anew. So it takes a load that goes away for good 25 s
// from Hard to Normal, and one that comes and goes changes the state at most four
// times in five seconds. Streams come back by and by after that (Config.Ramp), so
// that those who were sent away do not cause it again.
//
// Each resource has a state of its own; what is only watched takes its time to
// Critical and Hard (Config.Loads). The worst counts; of two that are
// equally bad the one with the higher load is named.
package bounds
