package groupcommit

import "go.etcd.io/bbolt"

// FailDisk makes the commits of f fail, for tests. Before its first change only.
func FailDisk(f *File, failure error) {
	f.update = func(apply func(*bbolt.Tx) error) error {
		return f.db.Update(func(tx *bbolt.Tx) error {
			if err := apply(tx); err != nil {
				return err
			}
			return failure
		})
	}
}

// HoldDisk makes each commit of f wait for a value of the channel, for tests.
// Before its first change only.
func HoldDisk(f *File, turn <-chan struct{}) {
	f.update = func(apply func(*bbolt.Tx) error) error {
		<-turn
		return f.db.Update(apply)
	}
}

// Queued returns how many changes wait that no transaction has taken yet.
func Queued(f *File) int { return len(f.queue) }
