// Package groupcommit is a bbolt file that many goroutines change and one
// writes, as the stores in a file of idem, saga and sched are.
//
//	Do ─► queue ─► one goroutine ─► transaction ─► fdatasync ─► all answers
//	      bounded   takes what waits
//	View ─► answered at once
//
// Whatever was answered is on the disk. Changes that come while a transaction is
// being written go into the next one together, so that the disk's time is shared
// by all who wait for it.
//
// The first error of the disk is the last: what is on it is not known any more,
// for a disk that failed once may have dropped what it was given, and say that
// all is well when asked again. So nothing is read from the file or acknowledged
// until it has been opened anew.
//
// A file has one process at a time, which its lock sees to.
package groupcommit
