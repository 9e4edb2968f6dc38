//go:build (dragonfly || netbsd || openbsd) && (amd64 || arm64 || ppc64 || riscv64)

package poller

import "time"

// alarm is not used: the timer filter counts milliseconds here, or no finer
// than kevent's timeout does.
type alarm struct{}

func (k *kernel) precise() {}

func (alarm) set(time.Duration) []kevent { return nil }
func (alarm) rang(*kevent) bool          { return false }
