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
	sendFlags   = unix.MSG_NOSIGNAL
	soReusePort = unix.SO_REUSEPORT
	soLinger    = unix.SO_LINGER
)

// choosePortLate is not known here: bind chooses.
func choosePortLate(int) {}

// tuneKeepAlive does nothing: sysctl net.inet.tcp.keep* rules for everybody.
func tuneKeepAlive(int, KeepAlive) error { return nil }

// SetUserTimeout limits how long sent bytes may stay unacknowledged before the
// connection fails with ETIMEDOUT; 0 = the system's rule. Rounded up to
// milliseconds on Linux, to seconds on macOS; errors.ErrUnsupported elsewhere.
func SetUserTimeout(fd int, d time.Duration) error { return errors.ErrUnsupported }
