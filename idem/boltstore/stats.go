package boltstore

// Stats counts what a Store has done.
type Stats struct {
	Records int64
	Commits uint64 // transactions written, each with one fdatasync of the data and one of the root
	Changes uint64 // written in them
	Refused uint64 // claims that found no room
	Broken  bool
}

// Stats returns the counts. They are read one after the other.
func (s *Store) Stats() Stats { return Stats(s.file.Stats()) }
