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
// Nanoseconds for one timer with 1,000 / 100,000 set, against container/heap and
// time.AfterFunc (2 shared cores, Go 1.26, median of 5). To push on is to move an
// active timer to a later instant, its share of coming up early included; to
// fire includes setting it.
//
//	             this heap   container/heap    AfterFunc     allocations
//	set, stop      19 / 23        69 / 92      255 /  224    0   1   1
//	push on        10 / 27       123 / 479      53 /  231    0   0   0
//	set, fire      53 / 242      122 / 285     690 / 1332    0   0   2
//
//	go test -run - -bench . -benchmem -benchtime 200ms -count 5 ./timer
//
// A set timer takes 32 bytes where it is embedded and 24 in the heap, which
// has up to as much room again to grow. Now takes some 30 ns.
//
// A later version puts levels of coarse, cheap buckets in front of the heap
// for timers that are far away. The API does not change by that: nothing in it
// says how the order is kept, and Next may already be early.
package timer
