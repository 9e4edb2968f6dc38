package boltstate

import (
	"context"

	"github.com/weir-go/weir/internal/groupcommit"
)

// FailDisk makes the next commits of s fail. Before its first change only.
func FailDisk(s *State, failure error) { groupcommit.FailDisk(s.file, failure) }

// Spoil writes something else in the place of a job's mark.
func Spoil(ctx context.Context, s *State, job string, mark []byte) error {
	return s.file.Do(ctx, func(t *groupcommit.Turn) (refused, disk error) {
		return nil, t.Bucket([]byte(jobsBucket)).Put(name(job), mark)
	})
}
