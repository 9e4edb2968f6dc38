//go:build freebsd || netbsd || dragonfly

package sock

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// AcceptInherits says that accepted sockets take over the options of their
// listener: no-delay, keep-alive with its timing, buffers, linger. False where
// that is not certain for all of them.
const AcceptInherits = false

const (
	hasAbstract = false
	soLinger    = unix.SO_LINGER
)

// choosePortLate is not known here: bind chooses.
func choosePortLate(int) {}

func tuneKeepAlive(fd int, k KeepAlive) error {
	return setTimes(fd, k, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT)
}

// SetUserTimeout limits how long sent bytes may stay unacknowledged before the
// connection fails with ETIMEDOUT; 0 = the system's rule. Rounded up to
// milliseconds on Linux, to seconds on macOS; errors.ErrUnsupported elsewhere.
func SetUserTimeout(fd int, d time.Duration) error { return errors.ErrUnsupported }
