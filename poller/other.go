//go:build !linux && !((darwin || dragonfly || freebsd || netbsd || openbsd) && (amd64 || arm64 || ppc64 || riscv64))

package poller

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// No backend: the package compiles, so that programs with another way to do
// their I/O build everywhere, and Open says so.

type kernel struct{}

func (k *kernel) open() error {
	return fmt.Errorf("poller: %s/%s: %w", runtime.GOOS, runtime.GOARCH, errors.ErrUnsupported)
}

func (k *kernel) close()               {}
func (k *kernel) precise()             {}
func (k *kernel) add(int, Token) error { return errors.ErrUnsupported }
func (k *kernel) remove(int) error     { return errors.ErrUnsupported }
func (k *kernel) wake() error          { return errors.ErrUnsupported }

func (k *kernel) wait([]Event, time.Duration) (int, bool, error) {
	return 0, false, errors.ErrUnsupported
}

func (k *kernel) parks(on bool) error {
	if on {
		return errors.ErrUnsupported
	}
	return nil
}
