package boltlog

import "go.etcd.io/bbolt"

// FailDisk makes the next commits of l fail. Before its first change only.
func FailDisk(l *Log, failure error) {
	l.update = func(f func(*bbolt.Tx) error) error {
		return l.db.Update(func(tx *bbolt.Tx) error {
			if err := f(tx); err != nil {
				return err
			}
			return failure
		})
	}
}
