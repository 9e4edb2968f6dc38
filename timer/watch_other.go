//go:build !linux

package timer

import (
	"errors"

	"github.com/weir-go/weir/poller"
)

// bell is nobody who tells when the clock is set: the watch looks by itself.
type bell struct{}

func (*bell) open(*poller.Poller) error { return errors.ErrUnsupported }
func (*bell) rang() bool                { return false }
func (*bell) close()                    {}
