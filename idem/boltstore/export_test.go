package boltstore

import "go.etcd.io/bbolt"

// FailDisk makes the next commits of s fail. Before its first change only.
func FailDisk(s *Store, failure error) {
	s.update = func(f func(*bbolt.Tx) error) error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			if err := f(tx); err != nil {
				return err
			}
			return failure
		})
	}
}

// HoldDisk makes the commits of s wait for a value of the channel each. Before
// its first change only.
func HoldDisk(s *Store, turn <-chan struct{}) {
	s.update = func(f func(*bbolt.Tx) error) error {
		<-turn
		return s.db.Update(f)
	}
}

// Queued returns how many changes wait.
func Queued(s *Store) int { return len(s.queue) }
