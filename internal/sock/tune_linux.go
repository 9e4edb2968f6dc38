package sock

import (
	"time"

	"golang.org/x/sys/unix"
)

// AcceptInherits says that accepted sockets take over the options of their
// listener: no-delay, keep-alive with its timing, buffers, linger. False where
// that is not certain for all of them.
const AcceptInherits = true

const (
	hasAbstract = true
	soReusePort = unix.SO_REUSEPORT
	soLinger    = unix.SO_LINGER
)

// choosePortLate lets bind leave the port open. A kernel that does not know
// it (before 4.2) chooses at once.
func choosePortLate(fd int) {
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}

func tuneKeepAlive(fd int, k KeepAlive) error {
	return setTimes(fd, k, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT)
}

// SetUserTimeout limits how long sent bytes may stay unacknowledged before the
// connection fails with ETIMEDOUT; 0 = the system's rule. Rounded up to
// milliseconds on Linux, to seconds on macOS; errors.ErrUnsupported elsewhere.
func SetUserTimeout(fd int, d time.Duration) error {
	return set(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, roundUp(max(d, 0), time.Millisecond))
}
