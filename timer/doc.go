// Package timer says which deadline is next, and waits for it.
//
// There are two ways in. A Heap is for whoever has a loop of his own: it has no
// goroutine, no lock and no clock. A Clock is for everybody else: functions,
// channels and contexts that end, as package time and context have them, and
// tickers on a grid, with as much precision as is asked for. A Clock is heaps
// behind locks, and one goroutine that sleeps.
//
// # The heap
//
//	 owner's goroutine                    Heap
//	┌──────────────────┐  Set, Stop   ┌─────────────┐ near ┌─────────────┐
//	│ Wait until Next  │ ───────────► │ which level?├─────►│      12     │
//	│ do what is ready │              └─────┬───────┘      │ ┌──┬─┴┬──┐  │
//	│ Advance(Now())   │ ◄──── Next ─┐      │ far          │ 15 12 30 18 │
//	└────────▲─────────┘             │      ▼              └──▲───────┬──┘
//	         │       level 9  ┌┬┬┬┬┬┬┬┬┬┬┬─ ─ ─┬┬┐ 2.3 years  │       │
//	         │        ...     └┴┴┴┴┴┴┴┼┴┴┴─ ─ ─┴┴┘ a bucket   │       │
//	         │       level 2  ┌┬┬┬┬┬┬┬▼┬┬┬─ ─ ─┬┬┐ 268 ms     │       │
//	         │       level 1  ├┼┼┼┼┼┼┼┼┼┼┼─ ─ ─┼┼┤ 16.8 ms    │       │
//	         │       level 0  └┴┴┴┴┼┴┴┴┴┴┴─ ─ ─┴┴┘ 1.05 ms    │       │
//	         │                     └──────────────────────────┘       │
//	         └──────────────────────── Fire ──────────────────────────┘
//
// It belongs to one goroutine, commonly an event loop, which asks Next how long
// it may sleep and calls Advance with the present instant when it woke. A Timer
// lives inside what it times; setting one allocates nothing.
//
// Near timers are in a 4-ary heap, ordered by instant to the nanosecond, then by
// the order of setting. Once there are 2048 timers, far ones wait in levels of
// coarse, unsorted buckets: most are stopped or pushed on before it comes to an
// order. When a bucket begins, its timers go on to a lower level or to the heap.
// Next says that it begins; Advance fires nothing then, if nothing is due.
//
// Processor nanoseconds for a timer, with 1,000 / 100,000 / 1,000,000 of them
// that come up within a minute, in random order in memory and time but for set,
// which is in the order of memory. To push on is to move an active timer to a
// later instant; to fire includes setting it, and a wake-up for each.
//
//	             this heap           container/heap        AfterFunc
//	set          18 /  40 /  49      36 /  46 /  127       215 /  446 /  809
//	stop        5.8 /  24 /  88      42 / 180 /  521        32 /  184 /  263
//	push on     1.6 / 8.7 /  18     104 / 489 / 1210        65 /  216 /  261
//	set, fire   101 / 228 / 242     174 / 597 / 1534      1276 / 2130 / 4185
//
// Measured by go run ./bench timer on 2 cores of a virtual machine, Go 1.26,
// medians; ratios and ranges are in docs/benchmarks.md. This heap allocates
// nothing, AfterFunc one object for each timer.
//
// A set timer takes 32 bytes where it is embedded, and with 1,000 / 100,000 /
// 1,000,000 timers 27 / 19 / 17 bytes in the heap and the levels. Timers that
// were stopped leave gaps, for which up to four times as much may be kept. Now
// takes some 30 ns. These are of go test -run - -bench 'Memory|Now' ./timer.
//
// # The clock
//
// A Clock spreads timers over locks, so that goroutines that run side by side do
// not meet, and wakes its goroutine only for an instant that is before all others.
// What is due runs on a Pool, or for a Ticker's Func on the clock itself. How
// punctual it is depends on Precision, whose comment has the figures, and on a P
// being free, for which there is package timer/spare. It follows the wall clock when that is
// set, and knows when the machine was suspended (Base, Step).
//
// The guide's chapter on time explains all this from the beginning: docs/guide.
package timer
