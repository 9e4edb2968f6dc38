// Package timer says which deadline is next.
//
//	 owner's goroutine                    Heap
//	┌──────────────────┐  Set, Stop   ┌─────────────┐
//	│ Wait until Next  │ ───────────► │      12     │   4-ary, ordered by
//	│ do what is ready │    Next      │ ┌──┬─┴┬──┐  │   instant, then by
//	│ Advance(Now())   │ ◄─────────── │ 15 12 30 18 │   order of setting
//	└────────▲─────────┘              └──────┬──────┘
//	         └────────── Fire ───────────────┘
//
// A Heap has no goroutine, no lock and no clock. It belongs to one goroutine,
// commonly an event loop, which asks Next how long it may sleep and calls
// Advance with the present instant when it woke. A Timer lives inside what it
// times; setting one allocates nothing.
//
// A later version puts levels of coarse, cheap buckets in front of the heap
// for timers that are far away. The API does not change by that: nothing in it
// says how the order is kept, and Next may already be early.
package timer
