package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/idem/boltstore"
	"github.com/weir-go/weir/saga"
	"github.com/weir-go/weir/saga/boltlog"
)

// sagas are three steps that do nothing. The log is a file; what was done is known by another file ("files"), or by
// Redis ("files-redis"). Every intent is on the disk before its call, so that the disk is what is measured.
func sagas(j job) (*subject, error) {
	log, err := boltlog.Open(boltlog.Config{Path: filepath.Join(j.Dir, "log")})
	if err != nil {
		return nil, err
	}
	s := &subject{close: log.Close}
	// Each commit has two: of the data, and of the root.
	s.syncs = func() uint64 { return 2 * log.Stats().Commits }
	var store idem.Store
	if j.Subject == "files" {
		file, err := boltstore.Open(boltstore.Config{Path: filepath.Join(j.Dir, "idem")})
		if err != nil {
			return nil, err
		}
		store = file
		s.syncs = func() uint64 { return 2 * (log.Stats().Commits + file.Stats().Commits) }
		s.close = func() error { return errors.Join(log.Close(), file.Close()) }
	} else {
		rt, shared, err := openStore(j)
		if err != nil {
			return nil, err
		}
		store = shared
		s.close = func() error { return errors.Join(log.Close(), shared.Close(), rt.Close()) }
	}
	order := &saga.Definition{Name: "order"}
	for _, name := range []string{"stock", "coupon", "logistics"} {
		nothing := saga.Call{Unknown: saga.Redo(), Run: func(context.Context, *saga.Attempt) ([]byte, error) { return nil, nil }}
		order.Steps = append(order.Steps, saga.Step{Name: name, Do: nothing, Undo: nothing})
	}
	r, err := saga.NewRunner(saga.Config{Log: log, Idem: &idem.Client{Store: store}, Definitions: []*saga.Definition{order}})
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	mine := prefix()
	s.once = func(n uint64) error {
		o, err := r.Run(bg, "order", mine+strconv.FormatUint(n, 10), nil)
		if err == nil && o.State != saga.Succeeded {
			err = fmt.Errorf("%s: %s", o.State, o.Reason)
		}
		return err
	}
	end := s.close
	s.close = func() error { return errors.Join(r.Close(bg), end()) }
	return s, nil
}
