package boltlog

import "github.com/weir-go/weir/internal/groupcommit"

// FailDisk makes the next commits of l fail. Before its first change only.
func FailDisk(l *Log, failure error) { groupcommit.FailDisk(l.file, failure) }
