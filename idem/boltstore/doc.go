// Package boltstore keeps idem's records in a file of this process: a
// bbolt database (one file, B+ tree, no background work, two linked modules).
//
//	Begin, Finish, ... ─► queue ─► one goroutine ─► transaction ─► fdatasync ─► all answers
//	                      bounded   takes what waits
//	reads, heartbeats ──► answered at once, nothing is written
//
// Whatever was answered is on the disk. Changes that come while a transaction
// is being written go into the next one together, so that the disk's time is
// shared by all who wait for it (package internal/groupcommit).
//
// A file has one process at a time, which its lock sees to. So leases are not
// written: when the file is opened, everybody who held one is dead, and his keys
// can be taken over at once.
//
// Retention is by the wall clock, for it has to outlive the process: setting
// the clock forward forgets records early. Leases do not depend on it.
package boltstore
