package boltstore

import "github.com/weir-go/weir/internal/groupcommit"

// FailDisk makes the next commits of s fail. Before its first change only.
func FailDisk(s *Store, failure error) { groupcommit.FailDisk(s.file, failure) }
