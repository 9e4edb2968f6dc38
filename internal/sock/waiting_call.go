//go:build darwin || openbsd

package sock

import "golang.org/x/sys/unix"

// Waiting reports whether Recv would return at once with something else than
// EAGAIN: bytes, the end of the stream, or an error (which it takes, as Recv
// would). It reads nothing.
func Waiting(fd int) bool {
	var p [1]byte
	for {
		_, _, err := unix.Recvfrom(fd, p[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return err != unix.EAGAIN
		}
	}
}
